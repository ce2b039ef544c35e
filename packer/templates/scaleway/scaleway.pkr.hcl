# A disk in qcow2 becomes an image that servers of one role at Scaleway boot from:
#   packer init . && packer build -var base=/path/to/base.qcow2 -var role=worker .
# The key to the API comes from the environment: SCW_ACCESS_KEY, SCW_SECRET_KEY and
# SCW_DEFAULT_PROJECT_ID. Nothing is booted: a disk that has run once is no base.

packer {
  required_plugins {
    imgforge = {
      version = ">= 0.1.0"
      source  = "github.com/imgforge/imgforge"
    }
  }
}

variable "base" {
  type        = string
  description = "Disk image of the operating system, which imgforge.lock does not pin."
}

variable "role" {
  type        = string
  description = "The role whose servers boot from the image: master, proxy or worker."
}

variable "cluster_file" {
  type        = string
  default     = "cluster.yaml"
  description = "The cluster file, with imgforge.lock and the store beside it."
}

variable "output" {
  type        = string
  default     = "output"
  description = "Folder for what is made; it must not exist."
}

variable "imgforge" {
  type        = string
  default     = "imgforge"
  description = "The program imgforge."
}

source "file" "base" {
  source = var.base
  target = "${var.output}/base.qcow2"
}

build {
  sources = ["source.file.base"]

  post-processors {
    post-processor "imgforge-bake" {
      cluster_file     = var.cluster_file
      role             = var.role
      output_directory = "${var.output}/baked"
      imgforge_path    = var.imgforge
    }
    post-processor "imgforge-scaleway-import" {
      cluster_file  = var.cluster_file
      imgforge_path = var.imgforge
    }
  }
}

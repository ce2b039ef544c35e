# A node's payload for any builder with a field for user-data. The builder here writes a
# file, in place of one that makes servers: the file is a secret, as the payload is.
#   packer init . && packer build -var node=worker-1 -var output=worker-1.ign .

packer {
  required_plugins {
    imgforge = {
      version = ">= 0.1.0"
      source  = "github.com/imgforge/imgforge"
    }
  }
}

variable "node" {
  type        = string
  description = "The node whose payload is wanted."
}

variable "output" {
  type        = string
  description = "The file to write."
}

variable "cluster_file" {
  type        = string
  default     = "cluster.yaml"
  description = "The cluster file, with the store beside it."
}

variable "imgforge" {
  type        = string
  default     = "imgforge"
  description = "The program imgforge."
}

data "imgforge-payload" "node" {
  cluster_file  = var.cluster_file
  node          = var.node
  imgforge_path = var.imgforge
}

# Sensitive: Packer writes <sensitive> in its place wherever it would print it.
local "user_data" {
  expression = data.imgforge-payload.node.user_data
  sensitive  = true
}

# Packer looks for a sensitive value as a whole, and prints line by line: what is cut into
# lines, as cloud-init's format is, is hidden only when its lines are sensitive as well.
local "user_data_lines" {
  expression = [for line in split("\n", data.imgforge-payload.node.user_data) : trimspace(line) if length(trimspace(line)) > 15]
  sensitive  = true
}

source "file" "node" {
  content = local.user_data
  target  = var.output
}

build {
  sources = ["source.file.node"]
}

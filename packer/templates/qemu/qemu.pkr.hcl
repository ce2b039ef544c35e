# QEMU changes a copy of a cloud image with cloud-init, and imgforge bakes it (os.family ubuntu):
#   packer init . && packer build -var base=/path/to/ubuntu.img -var base_checksum=sha256:... -var role=worker -var ssh_key=/path/to/key .
# A copy that has booted has a machine id, host keys and an address of its own. The last
# provisioner takes them out; what it leaves, imgforge finds, and refuses the disk.
# Packer 1.10 and newer also want the plugin github.com/hashicorp/qemu in plugins.pkr.hcl.

variable "base" {
  type        = string
  description = "Path or URL of the cloud image."
}

variable "base_checksum" {
  type        = string
  description = "Its checksum, such as sha256:HEX."
}

variable "role" {
  type        = string
  description = "The role whose machines boot from the disk: master, proxy or worker."
}

variable "cluster_file" {
  type        = string
  default     = "cluster.yaml"
  description = "The cluster file, with imgforge.lock and the store beside it."
}

variable "ssh_key" {
  type        = string
  description = "Private key for the time of the build, with its public key in the same path and .pub (ssh-keygen -t ed25519 -N '' -f FILE)."
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

source "qemu" "base" {
  iso_url          = var.base
  iso_checksum     = var.base_checksum
  disk_image       = true
  skip_resize_disk = true
  format           = "qcow2"
  headless         = true
  memory           = 1024
  output_directory = "${var.output}/built"

  # The user packer lives as long as the build: the last provisioner removes it.
  ssh_username              = "packer"
  ssh_private_key_file      = var.ssh_key
  ssh_clear_authorized_keys = true
  cd_label                  = "cidata"
  cd_content = {
    "meta-data" = "instance-id: packer\n"
    "user-data" = <<-EOF
      #cloud-config
      users:
        - name: packer
          sudo: ALL=(ALL) NOPASSWD:ALL
          shell: /bin/bash
          ssh_authorized_keys:
            - ${trimspace(file("${var.ssh_key}.pub"))}
    EOF
  }
  shutdown_command = "sudo systemd-run --on-active=3 /bin/sh -c 'userdel -rf packer; rm -f /etc/sudoers.d/90-cloud-init-users; poweroff'"
}

build {
  sources = ["source.qemu.base"]

  # Changes of your own go here.

  provisioner "shell" {
    inline = [
      "sudo cloud-init clean --logs --machine-id --seed",
      "sudo rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/dbus/machine-id",
    ]
  }

  post-processor "imgforge-bake" {
    cluster_file     = var.cluster_file
    role             = var.role
    output_directory = "${var.output}/baked"
    imgforge_path    = var.imgforge
  }
}

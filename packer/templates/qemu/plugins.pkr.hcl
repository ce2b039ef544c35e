packer {
  required_plugins {
    imgforge = {
      version = ">= 0.1.0"
      source  = "github.com/imgforge/imgforge"
    }
  }
}

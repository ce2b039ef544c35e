// Command oras-pull REPOSITORY DIGEST FOLDER copies an artifact, with all that it
// refers to, from a registry on loopback into a folder, as `oras pull` does: by the
// file store of the same library, which gives files the names of their titles.
package main

import (
	"context"
	"fmt"
	"os"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry/remote"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: oras-pull REPOSITORY DIGEST FOLDER")
		os.Exit(2)
	}
	if err := pull(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "oras-pull:", err)
		os.Exit(1)
	}
}

func pull(ctx context.Context, repository, digest, folder string) error {
	repo, err := remote.NewRepository(repository)
	if err != nil {
		return err
	}
	repo.PlainHTTP = true
	store, err := file.New(folder)
	if err != nil {
		return err
	}
	root, err := oras.Copy(ctx, repo, digest, store, digest, oras.DefaultCopyOptions)
	if err != nil {
		store.Close()
		return err
	}
	fmt.Println(root.MediaType, root.Digest)
	return store.Close()
}

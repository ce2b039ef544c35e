package debianbase

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"github.com/imgforge/imgforge/images/fat"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/images/squashfs"
)

// align is what partitions begin and end at, in bytes, and biosSize and espSize are
// the sizes of two.
const (
	align    = 1 << 20
	biosSize = 1 << 20
	espSize  = 256 << 20
)

// Types of partitions (UEFI, GRUB, and the discoverable partitions specification).
const (
	typeBIOS = "21686148-6449-6E6F-744E-656564454649"
	typeESP  = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	typeUsr  = "8484680C-9521-48C6-9C11-B0720656F69E"
	typeRoot = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
)

// whole is the disk, and the files that it is read from.
type whole struct {
	sparse.Content
	files []*os.File
}

func (w *whole) close() {
	for _, f := range w.files {
		f.Close()
	}
}

// part is one partition of the disk.
type part struct {
	label, kind string
	size        int64
	sparse.Content
}

// disk lays the partitions out: what boots, then /usr, then the root file system,
// which is the last so that it can grow.
func (j Job) disk(ctx context.Context, dir string, p *parts) (_ *whole, err error) {
	w := &whole{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	key, err := j.Key()
	if err != nil {
		return nil, err
	}
	j.logf("packing /usr")
	usr, err := w.file(filepath.Join(dir, "usr"), 0, func(f *os.File) error {
		size, err := squashfs.Write(f, p.usr, squashfs.Options{Time: uint32(j.Time), BlockSize: 256 << 10})
		if err != nil {
			return err
		}
		return f.Truncate((size + align - 1) / align * align)
	})
	if err != nil {
		return nil, err
	}
	esp, err := w.file(filepath.Join(dir, "esp"), espSize, func(f *os.File) error { return j.esp(f, key, p) })
	if err != nil {
		return nil, err
	}
	// The table takes the first and the last piece.
	left := j.Size - biosSize - espSize - usr.Size() - 2*align
	if left < 256<<20 {
		return nil, fmt.Errorf("a disk of %d bytes leaves no room for a root file system: it takes %d at least", j.Size, j.Size-left+256<<20)
	}
	root, err := w.file(filepath.Join(dir, "root"), left, func(f *os.File) error { return j.root(ctx, f.Name(), key) })
	if err != nil {
		return nil, err
	}
	boot, err := p.all("boot.img")
	if err != nil {
		return nil, err
	}
	core, err := p.all("core.img")
	if err != nil {
		return nil, err
	}
	first, rest, err := biosCode(boot, core, align/sector)
	if err != nil {
		return nil, err
	}
	w.Content, err = j.table(key, first, []part{{"BIOS-BOOT", typeBIOS, biosSize, sparse.Bytes(rest)}, {"EFI-SYSTEM", typeESP, espSize, esp},
		{"USR", typeUsr, usr.Size(), usr}, {"ROOT", typeRoot, left, root}})
	return w, err
}

// file makes a file of a size, has it filled, and keeps it open.
func (w *whole) file(path string, size int64, fill func(*os.File) error) (sparse.Content, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	w.files = append(w.files, f)
	if err := f.Truncate(size); err != nil {
		return nil, err
	}
	if err := fill(f); err != nil {
		return nil, err
	}
	return sparse.NewFile(f)
}

// table joins the partitions to a disk.
func (j Job) table(key string, code []byte, all []part) (sparse.Content, error) {
	t, err := gpt.New(uint64(j.Size/sector), gpt.DerivedGUID("imgforge base disk", key), code)
	if err != nil {
		return nil, err
	}
	var pieces []sparse.Piece
	at := int64(align)
	for i, p := range all {
		kind, err := gpt.ParseGUID(p.kind)
		if err != nil {
			return nil, err
		}
		if p.Size() > p.size {
			return nil, fmt.Errorf("partition %s has %d bytes for %d", p.label, p.size, p.Size())
		}
		e := gpt.Entry{Number: i + 1, Type: kind, GUID: partGUID(key, p.label), First: uint64(at / sector), Last: uint64((at+p.size)/sector) - 1, Label: p.label}
		if err := t.Set(e); err != nil {
			return nil, err
		}
		pieces = append(pieces, sparse.Piece{At: at, Content: p.Content})
		at += p.size
	}
	array, arrayAt := t.Array()
	back, backAt := t.Back()
	pieces = append(pieces, sparse.Piece{At: 0, Content: sparse.Bytes(t.Front())}, sparse.Piece{At: arrayAt, Content: sparse.Bytes(array)},
		sparse.Piece{At: backAt, Content: sparse.Bytes(back)})
	return sparse.Join(j.Size, pieces...)
}

func partGUID(key, label string) gpt.GUID { return gpt.DerivedGUID("imgforge base", key, label) }

// esp fills the EFI system partition, which both boot loaders read.
func (j Job) esp(f *os.File, key string, p *parts) error {
	initrd, err := p.all("initrd")
	if err != nil {
		return err
	}
	// One worker: more would change nothing but the order of the work.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return err
	}
	packed := enc.EncodeAll(initrd, nil)
	files := []fat.File{inMemory("initrd", packed), inMemory("grub/grub.cfg", []byte(grubConfig(j, partGUID(key, "USR").String()))),
		inMemory("imgforge/first", []byte("Ignition runs while this file is here.\n"))}
	for _, f := range []struct{ name, at string }{{"vmlinuz", "vmlinuz"}, {"bootx64.efi", "EFI/BOOT/BOOTX64.EFI"}} {
		data, err := p.all(f.name)
		if err != nil {
			return err
		}
		files = append(files, inMemory(f.at, data))
	}
	id := gpt.DerivedGUID("imgforge base esp", key)
	return fat.Write(f, fat.Volume{Size: espSize, Label: "EFI-SYSTEM", ID: binary.LittleEndian.Uint32(id[:4]), Time: j.Time, Files: files})
}

func inMemory(path string, data []byte) fat.File {
	return fat.File{Path: path, Size: int64(len(data)), Data: bytes.NewReader(data)}
}

// root makes an empty file system; the first boot fills it.
func (j Job) root(ctx context.Context, path, key string) error {
	program, err := find("mke2fs")
	if err != nil {
		return err
	}
	id := partGUID(key, "root file system").String()
	// Features are named, so that no version and no configuration of mke2fs decides.
	cmd := exec.CommandContext(ctx, program, "-q", "-F", "-b", "4096", "-I", "256", "-i", "16384", "-m", "1", "-L", "ROOT", "-U", id,
		"-O", "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum",
		"-E", "hash_seed="+id+",root_owner=0:0,lazy_itable_init=1,nodiscard", path)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "LC_ALL=C", "TZ=UTC0", "E2FSPROGS_FAKE_TIME=" + strconv.FormatInt(j.Time, 10), "SOURCE_DATE_EPOCH=" + strconv.FormatInt(j.Time, 10)}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, lastLines(out, 5))
	}
	return nil
}

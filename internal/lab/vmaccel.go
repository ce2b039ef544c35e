package lab

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"time"
)

// kvmWithin is how long a kernel may take to boot and find no root when the
// processor runs it itself. Emulated it takes longer than that.
const kvmWithin = 15 * time.Second

// accelerator are qemu's arguments for the fastest way to run a machine here.
func (s System) accelerator() []string {
	if s.KVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	// Programs in Go hash with AVX2 where there is one, which emulated takes several times
	// as long as doing without. A kernel that has ERMS clears pages byte by byte, which is
	// slow at best, and takes seconds a page where the emulator has translated code of that
	// page before; KVM inside is a large module that is loaded for nobody.
	return []string{"-accel", "tcg,thread=multi", "-cpu", "max,avx2=off,erms=off,svm=off"}
}

// bootsOnKVM tells whether the processor can run machines. That a device is there
// says little: in some clouds kernels hang on it, so one is booted to see.
func (l *Lab) bootsOnKVM(ctx context.Context, s System) bool {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	device.Close()
	qemu, err := l.Tool("qemu-system-x86_64")
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, kvmWithin)
	defer cancel()
	var console bytes.Buffer
	cmd := exec.CommandContext(ctx, qemu, "-accel", "kvm", "-cpu", "host", "-display", "none", "-nodefaults", "-no-reboot", "-no-user-config",
		"-m", "256", "-serial", "stdio", "-monitor", "none", "-kernel", s.Kernel, "-append", "console=ttyS0 panic=-1")
	cmd.Stdout, cmd.WaitDelay = &console, time.Second
	// Without a root the kernel panics and reboots, which ends qemu.
	return cmd.Run() == nil && strings.Contains(console.String(), "Kernel panic")
}

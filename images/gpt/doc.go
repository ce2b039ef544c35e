// Package gpt reads, edits and writes GUID partition tables (UEFI 2.10, chapter 5).
// It keeps what it does not understand: boot code, reserved bytes, attributes. A
// table that is damaged in any way is refused, never repaired.
package gpt

// Package arch holds no code: its tests are the architecture. They read the
// source of the module and refuse an import that the table does not grant, a
// clock or a file in a pure package, and what the house has agreed not to write.
package arch

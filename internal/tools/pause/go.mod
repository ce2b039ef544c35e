module github.com/imgforge/imgforge/internal/tools/pause

go 1.26.0

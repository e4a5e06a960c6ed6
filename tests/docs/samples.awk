# Prints the ```cpp blocks of a Markdown page, with #line directives that point back to it.
/^```cpp$/ { on = 1; printf "#line %d \"%s\"\n", NR + 1, FILENAME; next }
/^```$/ { on = 0 }
on { print }

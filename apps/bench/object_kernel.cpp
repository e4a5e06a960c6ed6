// A kernel in the foreign form that does nothing.
#include <cstdint>

extern "C" __attribute__((visibility("default"))) void kernel_entry(std::int64_t*) {}

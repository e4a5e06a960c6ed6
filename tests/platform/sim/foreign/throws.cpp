#include <cstdint>
#include <stdexcept>

extern "C" void kernel_entry(std::int64_t*) { throw std::runtime_error("no such tile"); }

// A foreign kernel that waits in its own way: counts itself, and looks at memory until all have come.
#include <sched.h>

#include <cstdint>

extern "C" void kernel_entry(std::int64_t* args) {
  auto* word = *reinterpret_cast<std::int32_t**>(args[0]);  // a descriptor begins with the address
  __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < args[1]) sched_yield();
}

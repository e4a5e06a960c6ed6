// Three words of the host's, and whether to fail: counts itself in at the first word and stays, deaf to
// everything, until the second is set; says so in the third. One that fails does so when another has come.
#include <sched.h>

#include <cstdint>
#include <stdexcept>

extern "C" void kernel_entry(std::int64_t* args) {
  auto* words = reinterpret_cast<std::int32_t*>(args[0]);
  if (args[1] != 0) {
    while (__atomic_load_n(words, __ATOMIC_ACQUIRE) == 0) sched_yield();
    throw std::runtime_error("this member has had enough");
  }
  __atomic_add_fetch(words, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(words + 1, __ATOMIC_ACQUIRE) == 0) sched_yield();
  __atomic_store_n(words + 2, 1, __ATOMIC_RELEASE);
}

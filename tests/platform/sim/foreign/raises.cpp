// Adds one to a word by a plain atomic, of which nobody hears: (word, stay). When told to stay, it goes on
// until the word behind it is set.
#include <sched.h>

#include <cstdint>

struct Descriptor {
  std::uint64_t address, size, owner, start_offset;
};

extern "C" void kernel_entry(std::int64_t* args) {
  const auto* tensor = reinterpret_cast<const Descriptor*>(args[0]);
  auto* word = reinterpret_cast<std::int32_t*>(tensor->address) + tensor->start_offset;
  __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
  while (args[1] != 0 && __atomic_load_n(word + 1, __ATOMIC_ACQUIRE) == 0) sched_yield();
}

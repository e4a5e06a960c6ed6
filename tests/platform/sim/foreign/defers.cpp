// Leaves its completion to a word: (out, word, type, engine, expected, entries, what the address is: 0 the
// word's, 1 none, else itself). Writes its token and ends. Tasks and blocks that do so side by side all write
// the same token to the same place: an atomic one, so that they do not race.
#include <atomic>
#include <cstdint>

struct Descriptor {
  std::uint64_t address, size, owner, start_offset;
};
struct Entry {
  std::uint64_t address, cookie;
  std::uint32_t expected, engine;
  std::int32_t type;
};
struct Local {
  std::int32_t block_idx, block_num;
  std::uint32_t* count;
  std::int32_t* error_code;
  Entry* entries;
  std::uint32_t capacity;
  std::uint64_t token;
};

extern "C" void kernel_entry(std::int64_t* args) {
  const auto* out = reinterpret_cast<const Descriptor*>(args[0]);
  const auto* word = reinterpret_cast<const Descriptor*>(args[1]);
  auto& local = *reinterpret_cast<Local*>(args[48]);
  std::atomic_ref(reinterpret_cast<std::int32_t*>(out->address)[out->start_offset])
      .store(1, std::memory_order_relaxed);
  auto address = word->address + 4 * word->start_offset;
  if (args[6] != 0) address = args[6] == 1 ? 0 : static_cast<std::uint64_t>(args[6]);
  for (std::int64_t i = 0; i < args[5]; ++i) {
    if (*local.count == local.capacity) {
      *local.error_code = 102;
      return;
    }
    local.entries[(*local.count)++] = {
        address, static_cast<std::uint64_t>(args[4]), static_cast<std::uint32_t>(args[4]),
        static_cast<std::uint32_t>(args[3]), static_cast<std::int32_t>(args[2])};
  }
}

// Looks at all that a kernel's context words lead to, as the headers of other kernels declare it.
#include <cstdint>

struct Entry {
  std::uint64_t address, cookie;
  std::uint32_t expected, engine;
  std::int32_t type;
};
struct Async {
  std::uint32_t* count;
  std::int32_t* error_code;
  Entry* entries;
  std::uint32_t capacity;
  std::uint64_t token;
};
struct Local {
  std::int32_t block_idx, block_num;
  Async async;
};
struct Global {
  std::int32_t sub_block_id;
  std::uint64_t dma_workspace[2];
};
static_assert(sizeof(Entry) == 32 && sizeof(Local) == 48 && sizeof(Global) == 24);

extern "C" void kernel_entry(std::int64_t* args) {
  auto* out = *reinterpret_cast<std::int32_t**>(args[0]);
  const auto& local = *reinterpret_cast<const Local*>(args[48]);
  const auto& global = *reinterpret_cast<const Global*>(args[49]);
  out += 8 * local.block_idx;  // each block has a row of its own
  out[0] = local.block_idx;
  out[1] = local.block_num;
  out[2] = global.sub_block_id;
  out[3] = global.dma_workspace[0] == 0 && global.dma_workspace[1] == 0;
  if (local.async.count == nullptr || local.async.error_code == nullptr || local.async.entries == nullptr)
    return;
  out[4] = *local.async.count == 0 && *local.async.error_code == 0;
  out[5] = static_cast<std::int32_t>(local.async.capacity);
  out[6] = local.async.token != ~std::uint64_t{0};
  std::uint64_t any = 0;
  for (std::uint32_t i = 0; i < 64; ++i) {
    const Entry& entry = local.async.entries[i];
    any |=
        entry.address | entry.cookie | entry.expected | entry.engine | static_cast<std::uint32_t>(entry.type);
  }
  out[7] = any == 0;
}

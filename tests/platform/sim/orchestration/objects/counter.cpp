// A kernel of the other system that counts its calls: all, those of each vector lane, and the sum of its
// blocks.
#include <cstdint>

struct Local {
  std::int32_t block_idx, block_num;
};
struct Global {
  std::int32_t sub_block_id;
};

extern "C" void kernel_entry(std::int64_t* args) {
  auto* out = *reinterpret_cast<std::int32_t**>(args[0]);
  const auto& local = *reinterpret_cast<const Local*>(args[48]);
  const auto& global = *reinterpret_cast<const Global*>(args[49]);
  __atomic_fetch_add(&out[0], 1, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&out[1 + global.sub_block_id], 1, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&out[3], local.block_idx, __ATOMIC_SEQ_CST);
  __atomic_store_n(&out[4], local.block_num, __ATOMIC_SEQ_CST);  // the same by all of them
}

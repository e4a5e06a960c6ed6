// Counts its calls in storage of its cluster, and says which lane it is; finds the hooks both ways.
#include <atomic>
#include <cstddef>
#include <cstdint>

extern "C" std::uint32_t pto_sim_get_subblock_id();
extern "C" void* pto_sim_get_pipe_shared_state(std::uint64_t key, std::size_t size);

namespace {
std::uint32_t (*registered_lane)() = nullptr;
void* (*registered_storage)(std::uint64_t, std::size_t) = nullptr;
}  // namespace

extern "C" void pto_sim_register_hooks(void* lane, void* storage) {
  registered_lane = reinterpret_cast<std::uint32_t (*)()>(lane);
  registered_storage = reinterpret_cast<void* (*)(std::uint64_t, std::size_t)>(storage);
}

extern "C" void kernel_entry(std::int64_t* args) {
  auto* out = *reinterpret_cast<std::int32_t**>(args[0]);
  auto* count = static_cast<std::atomic<std::int32_t>*>(pto_sim_get_pipe_shared_state(7, 64));
  const bool same = registered_storage(7, 64) == count && registered_lane() == pto_sim_get_subblock_id();
  const auto lane = pto_sim_get_subblock_id();
  const std::int32_t seen = count->fetch_add(1) + 1;
  const auto base = 4 * (*reinterpret_cast<std::int32_t*>(args[48]));
  out[base + 2] = same ? 1 : 0;
  std::atomic_ref<std::int32_t>(out[base + 3]).fetch_add(seen);
  out[base + static_cast<int>(lane)] = 10 + static_cast<std::int32_t>(lane);
}

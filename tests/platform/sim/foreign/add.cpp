// A kernel as it comes from elsewhere: it knows the words and the 128-byte descriptor, and nothing of troupe.
#include <cstdint>

struct Descriptor {
  std::uint64_t address, size, owner, start_offset;
  std::int32_t version;
  std::uint32_t ndims;
  std::uint8_t dtype, manual_dep, contiguous, space;
  std::uint32_t shapes[5];
  std::uint64_t extent;
  std::uint32_t strides[5];
};
struct LocalContext {
  std::int32_t block_idx, block_num;
};

static float* data(std::int64_t word) {
  auto* tensor = reinterpret_cast<Descriptor*>(word);
  return reinterpret_cast<float*>(tensor->address) + tensor->start_offset;
}

// c = a + b + scalar, each block its share.
extern "C" void kernel_entry(std::int64_t* args) {
  const auto* local = reinterpret_cast<const LocalContext*>(args[48]);
  const std::uint32_t n = reinterpret_cast<Descriptor*>(args[2])->shapes[0];
  float bias;
  __builtin_memcpy(&bias, &args[3], sizeof bias);
  const auto blocks = static_cast<std::uint32_t>(local->block_num);
  for (auto i = static_cast<std::uint32_t>(local->block_idx); i < n; i += blocks) {
    data(args[2])[i] = data(args[0])[i] + data(args[1])[i] + bias;
  }
}

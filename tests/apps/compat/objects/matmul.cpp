// c += a * b, of any strides.
#include "kernel.hpp"

namespace {
float& cell(const Descriptor& matrix, std::uint32_t row, std::uint32_t column) {
  return reinterpret_cast<float*>(
      matrix.address)[matrix.start_offset + std::uint64_t{row} * matrix.strides[0] +
                      std::uint64_t{column} * matrix.strides[1]];
}
}  // namespace

extern "C" void kernel_entry(std::int64_t* args) {
  const auto &a = tensor(args, 0), &b = tensor(args, 1), &c = tensor(args, 2);
  for (std::uint32_t i = 0; i < a.shapes[0]; ++i) {
    for (std::uint32_t j = 0; j < b.shapes[1]; ++j) {
      for (std::uint32_t k = 0; k < a.shapes[1]; ++k) cell(c, i, j) += cell(a, i, k) * cell(b, k, j);
    }
  }
}

// y = a * x + b, of any type: (x, y, a, b), a and b as 64-bit integers.
#include "kernel.hpp"

namespace {
template <class T>
void apply(const std::int64_t* args) {
  const auto &x = tensor(args, 0), &y = tensor(args, 1);
  for (std::uint64_t i = 0; i < y.elements(); ++i)
    y.at<T>(i) = static_cast<T>(static_cast<T>(args[2]) * x.at<T>(i) + static_cast<T>(args[3]));
}
}  // namespace

extern "C" void kernel_entry(std::int64_t* args) {
  switch (tensor(args, 1).dtype) {
    case 0:
      return apply<float>(args);
    case 2:
      return apply<std::int32_t>(args);
    case 3:
      return apply<std::int16_t>(args);
    case 4:
      return apply<std::int8_t>(args);
    case 5:
    case 11:
      return apply<std::uint8_t>(args);
    case 7:
      return apply<std::int64_t>(args);
    case 8:
      return apply<std::uint64_t>(args);
    case 9:
      return apply<std::uint16_t>(args);
    case 10:
      return apply<std::uint32_t>(args);
    default:
      return;
  }
}

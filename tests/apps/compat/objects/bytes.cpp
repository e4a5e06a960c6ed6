// Of any element type of one byte: y = x + the number of the type.
#include "kernel.hpp"

extern "C" void kernel_entry(std::int64_t* args) {
  for (std::uint64_t i = 0; i < tensor(args, 1).elements(); ++i)
    tensor(args, 1).at<std::uint8_t>(i) =
        static_cast<std::uint8_t>(tensor(args, 0).at<std::uint8_t>(i) + tensor(args, 0).dtype);
}

// c = a + b.
#include "kernel.hpp"

extern "C" void kernel_entry(std::int64_t* args) {
  for (std::uint64_t i = 0; i < tensor(args, 2).elements(); ++i)
    tensor(args, 2).at<float>(i) = tensor(args, 0).at<float>(i) + tensor(args, 1).at<float>(i);
}

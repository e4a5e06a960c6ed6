// y = factor * x.
#include "kernel.hpp"

extern "C" void kernel_entry(std::int64_t* args) {
  for (std::uint64_t i = 0; i < tensor(args, 1).elements(); ++i)
    tensor(args, 1).at<float>(i) = scalar<float>(args, 2) * tensor(args, 0).at<float>(i);
}

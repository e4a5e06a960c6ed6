#include "arch.hpp"

namespace troupe::platform::sim {

const Architecture architecture{
    .name = "a5sim",
    .clusters = 36,
    .max_aicpu_threads = 7,
    .memory_bytes = std::uint64_t{128} << 30,
    .counter_hz = 1'000'000'000,
    .aic_l0a_bytes = 64 << 10,
    .aic_l0b_bytes = 64 << 10,
    .aic_l0c_bytes = 256 << 10,
    .aic_l1_bytes = 512 << 10,
    .aiv_ub_bytes = 256 << 10,
};

}  // namespace troupe::platform::sim

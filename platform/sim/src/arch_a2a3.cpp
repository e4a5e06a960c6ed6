#include "arch.hpp"

namespace troupe::platform::sim {

const Architecture architecture{
    .name = "a2a3sim",
    .clusters = 24,
    .max_aicpu_threads = 4,
    .memory_bytes = std::uint64_t{64} << 30,
    .counter_hz = 50'000'000,
    .aic_l0a_bytes = 64 << 10,
    .aic_l0b_bytes = 64 << 10,
    .aic_l0c_bytes = 128 << 10,
    .aic_l1_bytes = 512 << 10,
    .aiv_ub_bytes = 192 << 10,
};

}  // namespace troupe::platform::sim

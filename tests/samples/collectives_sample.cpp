#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "troupe/comm/collectives.hpp"
#include "troupe/comm/communicator.hpp"

using namespace troupe::comm;

// What each rank does, a process or a thread of its own.
float sum_over_ranks(std::uint32_t rank, std::uint32_t ranks, const std::string& job) {
  constexpr std::size_t count = 4096;
  auto comm = Communicator::init(rank, ranks, job).value();
  const CollectiveWorkspace workspace{};  // 1 MiB + 4 KiB at offset 0 of every window
  comm.alloc_windows(workspace.bytes + count * sizeof(float)).value();
  auto collectives = Collectives::over(comm.domain(), workspace).value();

  auto* x = reinterpret_cast<float*>(comm.local_window_base() + workspace.bytes);
  std::fill_n(x, count, 1.0f);
  collectives.all_reduce(x, x, count, troupe::runtime::DType::f32)
      .value();  // in the windows: nothing is copied

  std::vector<float> in(count, x[0]), out(count);
  collectives.all_reduce(in.data(), out.data(), count, troupe::runtime::DType::f32)
      .value();  // private: staged
  comm.destroy().value();
  return out[0];
}

#include <cstdint>
#include <span>
#include <string>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/one_sided.hpp"

using namespace troupe::comm;

// Rank 0 puts a text into the window of rank 1 and says so; rank 1 waits for that word, not for a time.
std::string pass_on(std::string text, std::uint32_t rank, const std::string& job) {
  constexpr std::uint64_t ready = 0, message = 64;  // offsets, the same in every window
  auto comm = Communicator::init(rank, 2, job).value();
  comm.alloc_windows(4096).value();  // meets the other rank, and returns when both windows are there
  const OneSided windows(comm.domain());
  if (rank == 0) {
    windows.put(1, message, std::as_bytes(std::span(text))).value();
    windows.notify<std::uint32_t>(1, ready, NotifyOp::set, 1).value();
  } else {
    windows.wait_until<std::uint32_t>(1, ready, Compare::equal, 1).value();  // peer_lost if rank 0 dies
    windows.get(1, message, std::as_writable_bytes(std::span(text))).value();
  }
  comm.destroy().value();  // both leave
  return text;
}

// A mailbox whose writer wrote any bytes: the reader gives a result that its config can hold, the chip's
// error, or bad_blob; the same through the memory and the sockets as from the bytes alone.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "troupe/comm/bootstrap_channel.hpp"
#include "troupe/comm/errc.hpp"

namespace {

using namespace troupe;
using namespace troupe::comm;

void require(bool promise) {
  if (!promise) std::abort();
}

/// What the level above makes of a report: buffers inside the window, or an error.
void check_context(const ChipBootstrapResult& result) {
  ChipBootstrapConfig config;
  config.comm = ChipCommBootstrapConfig{.rank = 0, .nranks = 1, .rootinfo_path = "m", .window_size = 4096};
  for (std::size_t i = 0; i < result.buffer_ptrs.size(); ++i) {
    config.buffers.push_back({.name = std::to_string(i), .nbytes = 64 * (i % 3)});
  }
  const auto context = chip_context(0, config, result);
  if (!context) return require(context.error() == Errc::mismatch);
  for (const ChipBufferSpec& buffer : config.buffers) {
    const std::uint64_t at = context->buffer_ptrs.at(buffer.name);
    require(at >= result.local_window_base &&
            at - result.local_window_base + buffer.nbytes <= result.actual_window_size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  alignas(64) std::byte bytes[bootstrap_mailbox_bytes] = {};
  if (size != 0) std::memcpy(bytes, data, std::min(size, sizeof bytes));
  const auto channel = ChipBootstrapChannel::over(bytes).value();
  const auto plain = channel.read();
  const auto failure = channel.failure();
  if (plain && plain->has_value()) {
    require((*plain)->buffer_ptrs.size() <= bootstrap_max_buffers);
    check_context(**plain);
  }
  if (!plain) require(plain.error() == Errc::bad_blob || plain.error() == Errc::chip_failed);
  require(failure.has_value() == (!plain && plain.error() == Errc::chip_failed));
  if (failure) require(failure->message.size() <= bootstrap_max_message);
  // A reader with a limit of its own never hands out more.
  const auto narrow = ChipBootstrapChannel::over(bytes, 3).value().read();
  if (narrow && narrow->has_value()) require((*narrow)->buffer_ptrs.size() <= 3);

  // The same bytes from a writer that then ends. Sockets cost more than bytes: some inputs suffice.
  if (size % 4 != 0) return 0;
  auto mailbox = BootstrapMailbox::create("chip").value();
  {
    auto writer = mailbox.writer().value();
    void* memory = ::mmap(nullptr, sizeof bytes, PROT_READ | PROT_WRITE, MAP_SHARED, writer.memory(), 0);
    require(memory != MAP_FAILED);
    std::memcpy(memory, bytes, sizeof bytes);
    ::munmap(memory, sizeof bytes);
  }
  const auto read = mailbox.poll();
  if (plain && plain->has_value()) {
    require(read && **read == **plain);
  } else {
    require(!read && (plain ? read.error() == Errc::peer_lost : read.error().code() == plain.error().code()));
  }
  return 0;
}

// Windows of a context, and the sessions of rank programs.
#include <fcntl.h>

#include "host/context.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {

std::int32_t Context::window_create(const troupe_window_spec* spec, std::uint64_t* window,
                                    troupe_window_blob* blob) {
  if (spec == nullptr) return null_argument("spec");
  if (window == nullptr || blob == nullptr) return null_argument("window or blob");
  if (spec->gaps != nullptr && spec->gap_count > 65536)
    return note(TROUPE_DEVICE_INVALID_ARGUMENT, "window_create: absurdly many gaps");
  auto told = *spec;
  told.gap_count = spec->gaps != nullptr ? spec->gap_count : 0;
  told.gaps = nullptr;
  Writer arguments;
  arguments.put(told).raw(spec->gaps, static_cast<std::size_t>(told.gap_count) * sizeof(troupe_window_gap));
  auto answer = ask(Kind::window_create, arguments);
  if (answer.code != 0) return note(answer);
  Reader reader(answer.more);
  const auto number = reader.get<std::uint64_t>();
  auto offered = reader.get<troupe_window_blob>();
  if (!reader.complete() || offered.byte_count > TROUPE_WINDOW_BLOB_BYTES) return note(bad_answer());
  offered.fd = -1;
  if (!answer.descriptors.empty()) {
    if (!answer.descriptors[0].valid()) {
      Writer which;
      which.put(number);
      (void)ask(Kind::window_release, which);
      return note(TROUPE_DEVICE_SYSTEM,
                  "a window's memory could not be passed on: too many open files (ulimit -n)");
    }
    // Until the window is usable, or gone.
    offered.fd = answer.descriptors[0].get();
    const std::lock_guard lock(mutex_);
    window_memory_[number] = std::move(answer.descriptors[0]);
  }
  *window = number;
  *blob = offered;
  return 0;
}

std::int32_t Context::window_import(std::uint64_t window, std::uint32_t rank,
                                    const troupe_window_blob* blob) {
  if (blob == nullptr) return null_argument("blob");
  auto told = *blob;
  told.fd = -1;
  Writer arguments;
  arguments.put(window).put(rank).put(told);
  if (blob->fd < 0) return note(ask(Kind::window_import, arguments));
  if (settings_->reach) {
    return note(TROUPE_DEVICE_BAD_WINDOW, "the window of rank " + std::to_string(rank) +
                                              " is on this machine, this one on " + settings_->address +
                                              ": windows join chips of one machine");
  }
  // One that is closed is told by the platform, in its words.
  comm::FileDescriptor memory(::fcntl(blob->fd, F_DUPFD_CLOEXEC, 0));
  if (!memory.valid()) {
    return note(TROUPE_DEVICE_BAD_WINDOW,
                "the window of rank " + std::to_string(rank) + " is gone: its descriptor is closed");
  }
  const int descriptor = memory.get();
  return note(ask(Kind::window_import, arguments, {&descriptor, 1}));
}

void Context::forget_window(std::uint64_t window) {
  const std::lock_guard lock(mutex_);
  window_memory_.erase(window);
}

void* Context::comm_init(std::int32_t rank, std::int32_t ranks, void* stream, const char* meeting) {
  Writer arguments;
  arguments.put(rank).put(ranks).put(reinterpret_cast<std::uintptr_t>(stream));
  arguments.put(std::uint32_t{meeting != nullptr}).text(meeting != nullptr ? meeting : "");
  std::uintptr_t session = 0;
  if (simple(Kind::comm_init, arguments, &session) != 0) return nullptr;
  return reinterpret_cast<void*>(session);  // NOLINT(performance-no-int-to-ptr): only its process looks at it
}

}  // namespace troupe::platform::isolation

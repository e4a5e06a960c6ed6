// The calls that come over the link about windows and sessions.
#include <fcntl.h>

#include <utility>

#include "chip/process.hpp"

namespace troupe::platform::isolation {

Writer Process::create_window(Reader& reader, std::vector<comm::FileDescriptor>& descriptors) {
  if (api_.window_create == nullptr) return lacks("window_create");
  auto spec = reader.get<troupe_window_spec>();
  std::vector<troupe_window_gap> gaps;
  if (!reader.values(gaps, spec.gap_count) || !reader.complete()) return misread();
  spec.gaps = gaps.empty() ? nullptr : gaps.data();
  std::uint64_t window = 0;
  troupe_window_blob blob{};
  blob.fd = -1;
  const auto code = api_.window_create(context_, &spec, &window, &blob);
  auto told = coded(code, window);
  if (code != 0) return told;
  if (blob.fd >= 0) descriptors.emplace_back(::fcntl(blob.fd, F_DUPFD_CLOEXEC, 0));
  if (!descriptors.empty() && !descriptors[0].valid()) {
    (void)api_.window_release(context_, window);
    descriptors.clear();
    return answer_of(TROUPE_DEVICE_SYSTEM, "the chip's process has too many open files (ulimit -n)");
  }
  told.put(blob);
  return told;
}

Writer Process::import_window(Reader& reader, Call& call) {
  if (api_.window_import == nullptr) return lacks("window_import");
  const auto window = reader.get<std::uint64_t>();
  const auto rank = reader.get<std::uint32_t>();
  auto blob = reader.get<troupe_window_blob>();
  if (!reader.complete()) return misread();
  blob.fd = call.descriptors.empty() ? -1 : call.descriptors[0].get();
  if (!call.descriptors.empty() && blob.fd < 0) {
    return answer_of(TROUPE_DEVICE_SYSTEM, "the chip's process has too many open files (ulimit -n)");
  }
  return coded(api_.window_import(context_, window, rank, &blob));
}

std::uint64_t Process::Handles::keep(void* pointer) {
  if (pointer == nullptr) return 0;
  const std::lock_guard lock(mutex_);
  pointers_[++last_] = pointer;
  return last_;
}

std::optional<void*> Process::Handles::find(std::uint64_t number) const {
  if (number == 0) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto found = pointers_.find(number);
  return found != pointers_.end() ? std::optional(found->second) : std::nullopt;
}

void Process::Handles::forget(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  pointers_.erase(number);
}

bool Process::Handles::is_full() const {
  const std::lock_guard lock(mutex_);
  return pointers_.size() >= most;
}

Writer Process::session_call(Kind kind, Reader& reader) {
  const auto unknown = [](const char* what) {
    return answer_of(TROUPE_DEVICE_INVALID_ARGUMENT, std::string("there is no such ") + what);
  };
  const auto number_of_session = [&] { return reader.get<std::uint64_t>(); };
  switch (kind) {
    case Kind::comm_init: {
      if (api_.comm_init == nullptr) return lacks("comm_init");
      const auto rank = reader.get<std::int32_t>(), ranks = reader.get<std::int32_t>();
      const auto stream = streams_.find(reader.get<std::uint64_t>());
      const bool has_meeting = reader.get<std::uint32_t>() != 0;
      const std::string meeting(reader.text());
      if (!reader.complete()) return misread();
      if (!stream) return unknown("stream");
      if (sessions_.is_full()) return answer_of(TROUPE_DEVICE_CAPACITY_EXCEEDED, "too many sessions");
      auto* const made =
          api_.comm_init(context_, rank, ranks, *stream, has_meeting ? meeting.c_str() : nullptr);
      if (made != nullptr) return coded(0, sessions_.keep(made));
      std::int32_t code = 0;
      (void)api_.device_last_error(context_, &code, nullptr, 0);
      return coded(code != 0 ? code : std::int32_t{TROUPE_DEVICE_INTERNAL});
    }
    case Kind::comm_alloc_windows: {
      if (api_.comm_alloc_windows == nullptr) return lacks("comm_alloc_windows");
      const auto comm = sessions_.find(number_of_session());
      if (!comm) return unknown("session");
      std::uint64_t address = 0;
      const auto code = api_.comm_alloc_windows(context_, *comm, reader.get<std::uint64_t>(), &address);
      return coded(code, address);
    }
    case Kind::comm_local_base: {
      if (api_.comm_get_local_window_base == nullptr) return lacks("comm_get_local_window_base");
      const auto comm = sessions_.find(number_of_session());
      if (!comm) return unknown("session");
      std::uint64_t address = 0;
      const auto code = api_.comm_get_local_window_base(context_, *comm, &address);
      return coded(code, address);
    }
    case Kind::comm_window_size: {
      if (api_.comm_get_window_size == nullptr) return lacks("comm_get_window_size");
      const auto comm = sessions_.find(number_of_session());
      if (!comm) return unknown("session");
      std::uint64_t bytes = 0;
      const auto code = api_.comm_get_window_size(context_, *comm, &bytes);
      return coded(code, bytes);
    }
    case Kind::comm_barrier: {
      if (api_.comm_barrier == nullptr) return lacks("comm_barrier");
      const auto comm = sessions_.find(number_of_session());
      return comm ? coded(api_.comm_barrier(context_, *comm)) : unknown("session");
    }
    case Kind::comm_destroy: {
      if (api_.comm_destroy == nullptr) return lacks("comm_destroy");
      const auto number = number_of_session();
      const auto comm = sessions_.find(number);
      if (!comm) return unknown("session");
      const auto code = api_.comm_destroy(context_, *comm);
      if (code == 0) sessions_.forget(number);
      return coded(code);
    }
    case Kind::comm_abort:
      if (api_.comm_abort == nullptr) return lacks("comm_abort");
      return coded(api_.comm_abort(context_));
    // What a library need not have, and whose absence means that nothing is to be done.
    case Kind::acl_ready:
      if (api_.ensure_acl_ready_ctx == nullptr) return answer_of(0);
      return coded(api_.ensure_acl_ready_ctx(context_, reader.get<std::int32_t>()));
    case Kind::create_stream:
      if (streams_.is_full()) return answer_of(TROUPE_DEVICE_CAPACITY_EXCEEDED, "too many streams");
      return coded(
          0, streams_.keep(api_.create_comm_stream_ctx != nullptr ? api_.create_comm_stream_ctx(context_)
                                                                  : nullptr));
    case Kind::destroy_stream: {
      const auto number = reader.get<std::uint64_t>();
      const auto stream = streams_.find(number);
      if (!stream) return unknown("stream");
      const auto code =
          api_.destroy_comm_stream_ctx != nullptr ? api_.destroy_comm_stream_ctx(context_, *stream) : 0;
      if (code == 0) streams_.forget(number);
      return coded(code);
    }
    default:
      return misread();
  }
}

}  // namespace troupe::platform::isolation

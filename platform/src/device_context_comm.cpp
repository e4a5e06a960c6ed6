#include <utility>

#include "device_context_state.hpp"

// Windows and communication sessions of a DeviceContext: the optional half of the ABI.
namespace troupe::platform {

#define TROUPE_NEED(symbol)                                                    \
  if (auto ready = state_->need_device(#symbol); !ready) return ready.error(); \
  if (state_->api.symbol == nullptr) return state_->unsupported(#symbol)

Result<std::uint64_t> DeviceContext::window_create(const troupe_window_spec& spec, troupe_window_blob& blob) {
  TROUPE_NEED(window_create);
  std::uint64_t window = 0;
  auto answer = state_->answer(
      state_->api.window_create(state_->handle, &spec, &window, &blob),
      "window_create of " + std::to_string(spec.bytes) + " bytes for rank " + std::to_string(spec.rank));
  if (!answer) return answer.error();
  return window;
}

Result<void> DeviceContext::window_import(std::uint64_t window, std::uint32_t rank,
                                          const troupe_window_blob& blob) {
  TROUPE_NEED(window_import);
  return state_->answer(state_->api.window_import(state_->handle, window, rank, &blob),
                        "window_import of rank " + std::to_string(rank));
}

Result<troupe_window_view> DeviceContext::window_commit(std::uint64_t window) {
  TROUPE_NEED(window_commit);
  troupe_window_view view{};
  auto answer = state_->answer(state_->api.window_commit(state_->handle, window, &view), "window_commit");
  if (!answer) return answer.error();
  return view;
}

Result<void> DeviceContext::window_abort(std::uint64_t window, std::int32_t code, std::uint32_t rank) {
  TROUPE_NEED(window_abort);
  return state_->answer(state_->api.window_abort(state_->handle, window, code, rank), "window_abort");
}

Result<void> DeviceContext::window_release(std::uint64_t window) {
  TROUPE_NEED(window_release);
  return state_->answer(state_->api.window_release(state_->handle, window), "window_release");
}

Result<void> DeviceContext::comm_init(std::int32_t rank, std::int32_t rank_count,
                                      const std::string& rootinfo_path) {
  TROUPE_NEED(comm_init);
  auto& state = *state_;
  if (state.comm != nullptr) {
    return Error{Errc::invalid_state, "comm_init: a comm session is already active on this context",
                 "call comm_destroy() first"};
  }
  if (state.api.ensure_acl_ready_ctx != nullptr) {
    auto answer = state.answer(state.api.ensure_acl_ready_ctx(state.handle, state.device_id),
                               "comm_init: readying the communication runtime");
    if (!answer) return answer;
  }
  if (state.api.create_comm_stream_ctx != nullptr) {
    state.comm_stream = state.api.create_comm_stream_ctx(state.handle);
  }
  state.comm = state.api.comm_init(state.handle, rank, rank_count, state.comm_stream, rootinfo_path.c_str());
  if (state.comm != nullptr) return {};
  std::int32_t code = 0;
  (void)state.api.device_last_error(state.handle, &code, nullptr, 0);
  auto failure =
      state.answer(code != 0 ? code : std::int32_t{TROUPE_DEVICE_INTERNAL},
                   "comm_init of rank " + std::to_string(rank) + " of " + std::to_string(rank_count));
  (void)state.end_comm();  // rolls the stream back
  return failure;
}

#define TROUPE_NEED_COMM(symbol)                                                                        \
  TROUPE_NEED(symbol);                                                                                  \
  if (state_->comm == nullptr) {                                                                        \
    return Error{Errc::invalid_state, #symbol ": no comm session is active", "call comm_init() first"}; \
  }

Result<std::uint64_t> DeviceContext::comm_alloc_windows(std::uint64_t bytes) {
  TROUPE_NEED_COMM(comm_alloc_windows)
  std::uint64_t address = 0;
  auto answer = state_->answer(state_->api.comm_alloc_windows(state_->handle, state_->comm, bytes, &address),
                               "comm_alloc_windows of " + std::to_string(bytes) + " bytes");
  if (!answer) return answer.error();
  return address;
}

Result<std::uint64_t> DeviceContext::comm_local_window_base() {
  TROUPE_NEED_COMM(comm_get_local_window_base)
  std::uint64_t base = 0;
  auto answer = state_->answer(state_->api.comm_get_local_window_base(state_->handle, state_->comm, &base),
                               "comm_get_local_window_base");
  if (!answer) return answer.error();
  return base;
}

Result<std::uint64_t> DeviceContext::comm_window_size() {
  TROUPE_NEED_COMM(comm_get_window_size)
  std::uint64_t bytes = 0;
  auto answer = state_->answer(state_->api.comm_get_window_size(state_->handle, state_->comm, &bytes),
                               "comm_get_window_size");
  if (!answer) return answer.error();
  return bytes;
}

Result<void> DeviceContext::comm_barrier() {
  TROUPE_NEED_COMM(comm_barrier)
  return state_->answer(state_->api.comm_barrier(state_->handle, state_->comm), "comm_barrier");
}

Result<void> DeviceContext::comm_destroy() {
  TROUPE_NEED_COMM(comm_destroy)
  return state_->end_comm();
}

Result<void> DeviceContext::comm_abort() {
  TROUPE_NEED(comm_abort);
  return state_->answer(state_->api.comm_abort(state_->handle), "comm_abort");
}

void DeviceContext::State::leave_comm() {
  if (comm == nullptr) return;
  if (api.comm_abort != nullptr) (void)api.comm_abort(handle);
  (void)end_comm();  // its failure is what leaving means
}

Result<void> DeviceContext::State::end_comm() {
  Result<void> first;
  if (comm != nullptr) {
    const auto session = std::exchange(comm, nullptr);
    if (api.comm_destroy != nullptr) first = answer(api.comm_destroy(handle, session), "comm_destroy");
  }
  // The stream goes whatever became of the session.
  if (comm_stream != nullptr) {
    const auto stream = std::exchange(comm_stream, nullptr);
    if (api.destroy_comm_stream_ctx != nullptr) {
      auto second = answer(api.destroy_comm_stream_ctx(handle, stream), "destroying the comm stream");
      if (first && !second) first = second;
    }
  }
  return first;
}

}  // namespace troupe::platform

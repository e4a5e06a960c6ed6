#include <algorithm>
#include <mutex>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/runtime/comm_context.hpp"

namespace troupe::comm {

struct CommSessions::Impl {
  const Environment& environment;
  mutable std::mutex mutex;
  std::vector<std::unique_ptr<Communicator>> live;
  mutable std::shared_ptr<const Error> error;

  int note(const Error& what) const {
    const std::lock_guard lock(mutex);
    error = std::make_shared<const Error>(what);
    return what.code().value;
  }

  int note(const Result<void>& result) const { return result ? 0 : note(result.error()); }

  /// A handle comes from a C caller: only one that this table gave out is touched.
  Communicator* find(Handle handle) const {
    const std::lock_guard lock(mutex);
    const auto found =
        std::find_if(live.begin(), live.end(), [&](const auto& one) { return one.get() == handle; });
    return found == live.end() ? nullptr : found->get();
  }

  int unknown(const char* call) const {
    return note(Error(Errc::bad_argument, std::string(call) + ": this is no live communicator of the context",
                      "pass what comm_init returned"));
  }
  int null(const char* call) const {
    return note(Error(Errc::bad_argument, std::string(call) + ": the output pointer is null"));
  }
};

CommSessions::CommSessions(const Environment& environment) : impl_(new Impl{environment, {}, {}, {}}) {}
CommSessions::~CommSessions() = default;

CommSessions::Handle CommSessions::comm_init(int rank, int nranks, const char* rootinfo_path) {
  auto options = CommOptions::from_environment();
  if (!options) {
    impl_->note(options.error());
    return nullptr;
  }
  return comm_init(rank, nranks, rootinfo_path, *options);
}

CommSessions::Handle CommSessions::comm_init(int rank, int nranks, const char* rootinfo_path,
                                             const CommOptions& options) {
  if (rootinfo_path == nullptr || rank < 0 || nranks < 0) {
    impl_->note(rootinfo_path == nullptr ? Error(Errc::bad_argument, "comm_init: rootinfo_path is null")
                                         : Error(Errc::bad_rank, "comm_init: rank " + std::to_string(rank) +
                                                                     " of " + std::to_string(nranks)));
    return nullptr;
  }
  auto communicator = Communicator::init(static_cast<std::uint32_t>(rank), static_cast<std::uint32_t>(nranks),
                                         rootinfo_path, options, impl_->environment);
  if (!communicator) {
    impl_->note(communicator.error());
    return nullptr;
  }
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->live.empty() && !options.allow_several) {
    impl_->error =
        std::make_shared<const Error>(Errc::already_live, "comm_init: the context has a live communicator",
                                      "destroy it first, or ask for several (CommOptions::allow_several)");
    return nullptr;
  }
  impl_->live.push_back(std::make_unique<Communicator>(std::move(*communicator)));
  return impl_->live.back().get();
}

int CommSessions::comm_alloc_windows(Handle handle, std::size_t win_size, std::uint64_t* device_ctx_out) {
  Communicator* communicator = impl_->find(handle);
  if (communicator == nullptr) return impl_->unknown("comm_alloc_windows");
  if (device_ctx_out == nullptr) return impl_->null("comm_alloc_windows");
  auto context = communicator->alloc_windows(win_size);
  if (!context) return impl_->note(context.error());
  *device_ctx_out = reinterpret_cast<std::uintptr_t>(*context);
  return 0;
}

int CommSessions::comm_get_local_window_base(Handle handle, std::uint64_t* base_out) const {
  const Communicator* communicator = impl_->find(handle);
  if (communicator == nullptr) return impl_->unknown("comm_get_local_window_base");
  if (base_out == nullptr) return impl_->null("comm_get_local_window_base");
  *base_out = reinterpret_cast<std::uintptr_t>(communicator->local_window_base());
  return 0;
}

int CommSessions::comm_get_window_size(Handle handle, std::size_t* size_out) const {
  const Communicator* communicator = impl_->find(handle);
  if (communicator == nullptr) return impl_->unknown("comm_get_window_size");
  if (size_out == nullptr) return impl_->null("comm_get_window_size");
  *size_out = communicator->window_size();
  return 0;
}

int CommSessions::comm_barrier(Handle handle) {
  Communicator* communicator = impl_->find(handle);
  if (communicator == nullptr) return impl_->unknown("comm_barrier");
  return impl_->note(communicator->barrier());
}

int CommSessions::comm_destroy(Handle handle) {
  Communicator* communicator = impl_->find(handle);
  if (communicator == nullptr) return impl_->unknown("comm_destroy");
  // It stays in the table while it waits, so that abort_all reaches it.
  const int code = impl_->note(communicator->destroy());
  const std::lock_guard lock(impl_->mutex);
  std::erase_if(impl_->live, [&](const auto& one) { return one.get() == handle; });
  return code;
}

void CommSessions::abort_all() noexcept {
  const std::lock_guard lock(impl_->mutex);
  for (const auto& communicator : impl_->live) communicator->abort();
}

std::size_t CommSessions::live() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->live.size();
}

DomainMember* CommSessions::domain(Handle handle) noexcept {
  Communicator* communicator = impl_->find(handle);
  return communicator == nullptr ? nullptr : &communicator->domain();
}

std::shared_ptr<const Error> CommSessions::last_error() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->error;
}

}  // namespace troupe::comm

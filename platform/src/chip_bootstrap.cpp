#include "troupe/platform/chip_bootstrap.hpp"

#include <utility>

#include "troupe/comm/errc.hpp"

namespace troupe::platform {

namespace {

/// The context's session as bring-up holds it: gone when this object goes.
class SessionCommunicator final : public comm::BootstrapCommunicator {
 public:
  explicit SessionCommunicator(DeviceContext& context) : context_(&context) {}
  SessionCommunicator(const SessionCommunicator&) = delete;
  ~SessionCommunicator() override {
    if (context_ == nullptr) return;
    // Aborted first, so that the other ranks are not waited for. A closed context has left already.
    (void)context_->comm_abort();
    (void)context_->comm_destroy();
  }

  Result<std::uint64_t> alloc_windows(std::uint64_t bytes) override {
    return context_->comm_alloc_windows(bytes);
  }
  Result<std::uint64_t> local_window_base() override { return context_->comm_local_window_base(); }
  Result<std::uint64_t> window_size() override { return context_->comm_window_size(); }
  Result<void> destroy() override { return std::exchange(context_, nullptr)->comm_destroy(); }

 private:
  DeviceContext* context_;  ///< null once destroyed
};

}  // namespace

Result<void> ContextBootstrapDevice::set_device(int device_id) {
  if (device_id >= 0 && context_.device_id() == device_id) return {};
  return context_.set_device(device_id);
}

Result<void> ContextBootstrapDevice::copy_to(std::uint64_t device, const void* host, std::size_t bytes) {
  return context_.copy_to(device, host, bytes);
}

Result<void> ContextBootstrapDevice::copy_from(void* host, std::uint64_t device, std::size_t bytes) {
  return context_.copy_from(host, device, bytes);
}

Result<std::unique_ptr<comm::BootstrapCommunicator>> ContextBootstrapDevice::communicator(
    const comm::ChipCommBootstrapConfig& config) {
  if (auto begun = context_.comm_init(config.rank, config.nranks, config.rootinfo_path); !begun) {
    return begun.error();
  }
  auto session = std::make_unique<SessionCommunicator>(context_);
  // An abort from before the session began did not reach it; a later one does.
  if (aborted_) return Error(comm::Errc::aborted, "bring-up was given up");
  return std::unique_ptr<comm::BootstrapCommunicator>(std::move(session));
}

void ContextBootstrapDevice::abort() noexcept {
  aborted_ = true;
  (void)context_.comm_abort();
}

}  // namespace troupe::platform

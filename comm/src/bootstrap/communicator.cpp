#include <utility>

#include "troupe/comm/bootstrap.hpp"

namespace troupe::comm {

namespace {

class WindowCommunicator final : public BootstrapCommunicator {
 public:
  explicit WindowCommunicator(Communicator communicator) : communicator_(std::move(communicator)) {}

  Result<std::uint64_t> alloc_windows(std::uint64_t bytes) override {
    auto context = communicator_.alloc_windows(bytes);
    if (!context) return context.error();
    return reinterpret_cast<std::uint64_t>(*context);
  }
  Result<std::uint64_t> local_window_base() override {
    return reinterpret_cast<std::uint64_t>(communicator_.local_window_base());
  }
  Result<std::uint64_t> window_size() override { return communicator_.window_size(); }
  Result<void> destroy() override { return communicator_.destroy(); }

 private:
  Communicator communicator_;
};

}  // namespace

Result<std::unique_ptr<BootstrapCommunicator>> make_bootstrap_communicator(
    const ChipCommBootstrapConfig& config, CommOptions options, const Environment& environment) {
  if (config.rank < 0 || config.nranks < 1) return Error(Errc::bad_rank, "a negative rank or rank count");
  auto communicator =
      Communicator::init(static_cast<std::uint32_t>(config.rank), static_cast<std::uint32_t>(config.nranks),
                         config.rootinfo_path, options, environment);
  if (!communicator) return communicator.error();
  return std::unique_ptr<BootstrapCommunicator>(
      std::make_unique<WindowCommunicator>(std::move(*communicator)));
}

}  // namespace troupe::comm

// Which CUDA devices there are.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cuda/cuda_driver.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::cuda {

namespace {

constexpr std::uint32_t usual_lanes = 256;

class CudaSource final : public DriverSource {
 public:
  CudaSource() : cu_(load_libcuda()) {
    if (!cu_) return;
    for (auto& found : find_devices(*cu_)) {
      if (!found.why_not.empty()) {
        refused_ += "; '" + found.name + "' cannot be used: " + found.why_not;
        continue;
      }
      facts_.push_back({.name = found.name,
                        .driver = found.driver,
                        .memory_bytes = found.memory_bytes,
                        .units = found.multiprocessors,
                        .lanes = std::min(usual_lanes, found.most_lanes),
                        .most_lanes = found.most_lanes,
                        .together = 1,
                        .graphs = cu_->have_graphs()});
      devices_.push_back(std::move(found));
    }
  }

  std::string_view architecture() const noexcept override { return "cuda"; }
  std::span<const DeviceFacts> devices() const noexcept override { return facts_; }
  Error no_device() const override {
    if (!cu_) {
      return Error(
          Errc::no_such_device, "no CUDA device: " + cu_.error().message(),
          cu_.error().hint().empty() ? "`nvidia-smi` shows what the driver knows" : cu_.error().hint());
    }
    return {Errc::no_such_device,
            "no CUDA device" + (refused_.empty() ? ": the driver knows none" : refused_),
            "`nvidia-smi` shows what the driver knows; CUDA_VISIBLE_DEVICES may hide devices"};
  }
  Answer<std::unique_ptr<Driver>> open(std::uint32_t device) override {
    return CudaDriver::open(*cu_, devices_[device]);
  }

 private:
  Answer<cu::Functions> cu_;
  std::vector<FoundDevice> devices_;
  std::vector<DeviceFacts> facts_;
  std::string refused_;
};

}  // namespace

}  // namespace troupe::platform::cuda

std::unique_ptr<troupe::platform::queued::DriverSource> troupe::platform::queued::make_driver_source() {
  return std::make_unique<cuda::CudaSource>();
}

// Which OpenCL devices there are.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "opencl/opencl_driver.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::opencl {

namespace {

constexpr std::uint32_t lanes_of_a_gpu = 256;

class OpenClSource final : public DriverSource {
 public:
  OpenClSource() : cl_(load_icd()) {
    if (!cl_) return;
    for (auto& found : find_devices(*cl_)) {
      if (!found.why_not.empty()) {
        refused_ += "; '" + found.name + "' of " + found.platform + " cannot be used: " + found.why_not;
        continue;
      }
      const auto most = static_cast<std::uint32_t>(std::min<std::size_t>(found.most_lanes, 1U << 16U));
      facts_.push_back({.name = found.name,
                        .driver = found.platform + " " + found.version,
                        .memory_bytes = found.memory_bytes,
                        .units = found.units,
                        .lanes = found.is_cpu ? 1U : std::min(lanes_of_a_gpu, most),
                        .most_lanes = most,
                        .together = 1});
      devices_.push_back(std::move(found));
    }
  }

  std::string_view architecture() const noexcept override { return "opencl"; }
  std::span<const DeviceFacts> devices() const noexcept override { return facts_; }
  Error no_device() const override {
    if (!cl_) {
      return Error(Errc::no_such_device, "no OpenCL device: " + cl_.error().message(), cl_.error().hint());
    }
    return {
        Errc::no_such_device,
        "no OpenCL device" +
            (refused_.empty() ? ": OpenCL's loader is there, and knows no driver with a device" : refused_),
        "install an OpenCL driver, on Debian: apt-get install pocl-opencl-icd ocl-icd-libopencl1; `clinfo` "
        "lists what is there"};
  }
  Result<std::unique_ptr<Driver>> open(std::uint32_t device) override {
    return OpenClDriver::open(*cl_, devices_[device]);
  }

 private:
  Result<cl::Functions> cl_;
  std::vector<FoundDevice> devices_;
  std::vector<DeviceFacts> facts_;
  std::string refused_;
};

}  // namespace

}  // namespace troupe::platform::opencl

std::unique_ptr<troupe::platform::queued::DriverSource> troupe::platform::queued::make_driver_source() {
  return std::make_unique<opencl::OpenClSource>();
}

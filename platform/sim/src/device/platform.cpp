// What the ABI's functions have to know of the simulated platforms.

#include "device/device.hpp"

namespace troupe::platform::sim {

namespace {

class SimulatedPlatform final : public Platform {
 public:
  Result<void> set_option(std::string_view name, std::string_view value) override {
    return options_.set(name, value);
  }
  std::uint32_t devices() const noexcept override { return 65536; }  // they cost nothing until they are set
  Result<std::shared_ptr<Chip>> make_chip(HostServices& host, std::int32_t number) override {
    return std::shared_ptr<Chip>(std::make_shared<Device>(host, options_, number));
  }
  void describe(troupe_device_properties& properties, const Chip* chip) const override;

 private:
  Options options_;
};

void SimulatedPlatform::describe(troupe_device_properties& properties, const Chip* /*chip*/) const {
  architecture.name.copy(properties.architecture, sizeof properties.architecture - 1);
  properties.features = TROUPE_FEATURE_MODULES | TROUPE_FEATURE_FOREIGN_BYTES | TROUPE_FEATURE_WINDOWS |
                        TROUPE_FEATURE_COMM | TROUPE_FEATURE_HOST_KERNELS | TROUPE_FEATURE_TOGETHER |
                        TROUPE_FEATURE_GRAPHS | TROUPE_FEATURE_MOVES;
  properties.clusters = architecture.clusters;
  properties.aic_per_cluster = 1;
  properties.aiv_per_cluster = 2;
  properties.control_threads = architecture.max_aicpu_threads;
  properties.memory_bytes = options_.memory_bytes;
  properties.counter_hz = architecture.counter_hz;
  properties.l1_bytes = architecture.aic_l1_bytes;
  properties.ub_bytes = architecture.aiv_ub_bytes;
  properties.l0_bytes = architecture.aic_l0a_bytes;
}

}  // namespace

}  // namespace troupe::platform::sim

std::unique_ptr<troupe::platform::common::Platform> troupe::platform::common::make_platform() {
  return std::make_unique<sim::SimulatedPlatform>();
}

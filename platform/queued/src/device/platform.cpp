// What the ABI's functions have to know of a platform of queued devices.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "device/queued_chip.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

namespace {

class QueuedPlatform final : public Platform {
 public:
  explicit QueuedPlatform(std::unique_ptr<DriverSource> source) : source_(std::move(source)) {
    for (const auto& facts : source_->devices()) names_.push_back(facts.name + " (" + facts.driver + ")");
  }

  Result<void> set_option(std::string_view name, std::string_view value) override {
    std::uint64_t memory = 1;
    std::uint32_t lanes = 1;
    for (const auto& facts : source_->devices()) {
      memory = std::max(memory, facts.memory_bytes);
      lanes = std::max(lanes, facts.most_lanes);
    }
    return options_.set(name, value, memory, lanes);
  }
  std::uint32_t devices() const noexcept override {
    return static_cast<std::uint32_t>(source_->devices().size());
  }
  Error no_device() const override { return source_->no_device(); }
  Result<std::shared_ptr<Chip>> make_chip(HostServices& host, std::int32_t number) override {
    const DeviceFacts& facts = source_->devices()[static_cast<std::size_t>(number)];
    auto driver = source_->open(static_cast<std::uint32_t>(number));
    if (!driver) return driver.error();
    return QueuedChip::open(host, options_, number, facts, *std::move(driver));
  }
  void describe(troupe_device_properties& properties, const Chip* chip) const override;

 private:
  const std::unique_ptr<DriverSource> source_;
  std::vector<std::string> names_;
  Options options_;
};

void QueuedPlatform::describe(troupe_device_properties& properties, const Chip* chip) const {
  source_->architecture().copy(properties.architecture, sizeof properties.architecture - 1);
  properties.features = TROUPE_FEATURE_MODULES | TROUPE_FEATURE_FOREIGN_BYTES | TROUPE_FEATURE_OVERLAP;
  properties.aiv_per_cluster = 1;
  if (names_.empty()) return;
  const auto number = chip != nullptr ? static_cast<std::size_t>(chip->number()) : 0;
  const DeviceFacts& facts = source_->devices()[number];
  if (facts.together >= facts.units) properties.features |= TROUPE_FEATURE_TOGETHER;
  properties.clusters = facts.units;
  properties.memory_bytes = options_.memory_bytes != 0 ? options_.memory_bytes : facts.memory_bytes;
  if (chip != nullptr) properties.device_name = names_[number].c_str();
}

}  // namespace

}  // namespace troupe::platform::queued

std::unique_ptr<troupe::platform::common::Platform> troupe::platform::common::make_platform() {
  return std::make_unique<queued::QueuedPlatform>(queued::make_driver_source());
}

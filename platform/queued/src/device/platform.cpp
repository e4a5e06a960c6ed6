// What the ABI's functions have to know of a platform of queued devices.
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/queued_chip.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

namespace {

constexpr std::uint32_t most_sharing = 64;  // chips of one device

/// TROUPE_CHIPS_PER_DEVICE: so many chips share one device, and its memory. What is no number from 1 to 64
/// is as good as nothing: option `chips` decides.
std::optional<std::uint32_t> chips_per_device() {
  const char* given = std::getenv("TROUPE_CHIPS_PER_DEVICE");  // NOLINT(concurrency-mt-unsafe): read only
  if (given == nullptr) return std::nullopt;
  const auto number = GivenOption("TROUPE_CHIPS_PER_DEVICE", given).number(1, most_sharing, "");
  if (!number) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

class QueuedPlatform final : public Platform {
 public:
  explicit QueuedPlatform(std::unique_ptr<DriverSource> source)
      : source_(std::move(source)), demanded_(chips_per_device()), sharing_(demanded_.value_or(1)) {
    for (const auto& facts : source_->devices()) names_.push_back(facts.name + " (" + facts.driver + ")");
  }

  Result<void> set_option(std::string_view name, std::string_view value) override {
    if (name == "chips") return share_out(GivenOption(name, value));
    std::uint64_t memory = 1;
    std::uint32_t lanes = 1;
    for (const auto& facts : source_->devices()) {
      memory = std::max(memory, facts.memory_bytes);
      lanes = std::max(lanes, facts.most_lanes);
    }
    if (auto set = options_.set(name, value, memory, lanes); !set) return set;
    if (name != "checked" || !options_.checked) return {};
    return Error(Errc::unsupported, "chips of this platform cannot be checked",
                 "look for kernels that write where they must not on a simulated chip");
  }
  std::uint32_t devices() const noexcept override {
    return static_cast<std::uint32_t>(source_->devices().size()) * sharing_;
  }
  Error no_device() const override { return source_->no_device(); }
  std::string more_chips() const override {
    return "TROUPE_CHIPS_PER_DEVICE=N makes N chips of each device (64 at most), which share it and its "
           "memory";
  }
  Result<std::shared_ptr<Chip>> make_chip(HostServices& host, std::int32_t number) override {
    const std::uint32_t device = device_of(number);
    DeviceFacts facts = source_->devices()[device];
    facts.memory_bytes /= sharing_;
    auto driver = source_->open(device);
    if (!driver) return driver.error();
    return QueuedChip::open(host, options_, number, facts, *std::move(driver));
  }
  void describe(troupe_device_properties& properties, const Chip* chip) const override;

 private:
  /// So many chips are wanted: as few as possible share a device.
  Result<void> share_out(const GivenOption& option) {
    const auto there = static_cast<std::uint32_t>(source_->devices().size());
    const auto most = std::max(1U, there) * most_sharing;
    const auto chips = option.number(1, most, "1.." + std::to_string(most));
    if (!chips) return chips.error();
    if (!demanded_ && there != 0) sharing_ = (static_cast<std::uint32_t>(*chips) + there - 1) / there;
    return {};
  }
  std::uint32_t device_of(std::int32_t chip) const noexcept {
    return static_cast<std::uint32_t>(chip) / sharing_;
  }

  const std::unique_ptr<DriverSource> source_;
  const std::optional<std::uint32_t> demanded_;
  std::uint32_t sharing_;  ///< chips of each device
  std::vector<std::string> names_;
  Options options_;
};

void QueuedPlatform::describe(troupe_device_properties& properties, const Chip* chip) const {
  source_->architecture().copy(properties.architecture, sizeof properties.architecture - 1);
  properties.features = TROUPE_FEATURE_MODULES | TROUPE_FEATURE_FOREIGN_BYTES | TROUPE_FEATURE_OVERLAP;
  properties.aiv_per_cluster = 1;
  if (names_.empty()) return;
  const std::size_t number = chip != nullptr ? device_of(chip->number()) : 0;
  const DeviceFacts& facts = source_->devices()[number];
  if (facts.together >= facts.units) properties.features |= TROUPE_FEATURE_TOGETHER;
  if (facts.graphs) properties.features |= TROUPE_FEATURE_GRAPHS;
  properties.clusters = facts.units;
  properties.memory_bytes =
      options_.memory_bytes != 0 ? options_.memory_bytes : facts.memory_bytes / sharing_;
  if (chip != nullptr) properties.device_name = names_[number].c_str();
}

}  // namespace

}  // namespace troupe::platform::queued

std::unique_ptr<troupe::platform::common::Platform> troupe::platform::common::make_platform() {
  return std::make_unique<queued::QueuedPlatform>(queued::make_driver_source());
}

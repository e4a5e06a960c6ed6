#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "code/code.hpp"
#include "engine/engine.hpp"
#include "kernels/kernels.hpp"
#include "orchestration/object_abi.hpp"
#include "orchestration/object_ops.hpp"
#include "orchestration/packed_callable.hpp"
#include "tasks/tasks.hpp"

namespace troupe::platform::sim {

/// An orchestration that was compiled for another system, loaded: a shared object which builds its graph
/// through a table of functions, and the kernels that it names by numbers. Which of the two runtimes it was
/// made for shows in what it exports. One run at a time; what was learnt of its kernels stays.
class OrchestrationObject final : public ForeignProgram {
 public:
  using Entry = void (*)(const void* arguments);
  using Config = object_abi::OrchestrationConfig (*)(const void* arguments);
  using Bind = void (*)(object_abi::Runtime*);

  /// Whether an object is one: it takes a runtime.
  static bool is_one(const HostObject& object) noexcept;
  static Result<std::unique_ptr<LoadedCode>> load(std::string_view name, HostObject object,
                                                  const PackedCallable& packed);

  std::uint32_t chip_runtime() const noexcept override;
  const RingSizes* rings() const noexcept override { return rings_ ? &*rings_ : nullptr; }
  std::uint32_t clusters() const noexcept override { return simulated_clusters; }
  Result<void> run(ChipEngine& engine, const Run& run,
                   std::span<const runtime::Tensor> tensors) const override;

  bool is_host_graph() const noexcept { return is_host_graph_; }
  const std::string& name() const noexcept { return name_; }
  Entry entry() const noexcept { return entry_; }
  Config config() const noexcept { return config_; }  ///< may be null
  Bind bind() const noexcept { return bind_; }
  std::span<const std::uint8_t> directions() const noexcept { return directions_; }

  struct Kernel {
    std::int32_t number = 0;
    std::unique_ptr<LoadedCode> code;
    std::unique_ptr<KernelEntry> entry;
  };
  std::span<const Kernel> kernels() const noexcept { return kernels_; }

 private:
  /// What orchestrations get that ask how large a simulated chip is.
  static constexpr std::uint32_t simulated_clusters = 8;

  OrchestrationObject(std::string_view name, HostObject object)
      : name_(name), object_(std::move(object)), log_(std::make_unique<object_abi::LogState>()) {}
  Result<void> resolve(const PackedCallable& packed);
  Result<void> add_kernels(const PackedCallable& packed);

  const std::string name_;
  HostObject object_;
  std::unique_ptr<object_abi::LogState> log_;  ///< the object keeps its address
  bool is_host_graph_ = false;
  Entry entry_ = nullptr;
  Config config_ = nullptr;
  Bind bind_ = nullptr;
  std::vector<std::uint8_t> directions_;
  std::optional<RingSizes> rings_;
  std::vector<Kernel> kernels_;
};

}  // namespace troupe::platform::sim

#include <cstdlib>
#include <utility>

#include "args.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/thrown.hpp"

// One case of a scene, from loading the platform to the verdict.
namespace troupe::platform {

namespace {

constexpr std::byte poison{0x5A};

/// A tensor during one round: what the chip works on, and what is there afterwards.
struct Staged {
  const SceneTensor* tensor;
  std::vector<std::byte> before, memory;
  std::uint64_t device = 0;

  explicit Staged(const SceneTensor& t) : tensor(&t), before(t.given), memory() {
    if (t.tag == runtime::Tag::out) before.assign(before.size(), poison);
    memory = before;
  }
};

class CaseRound {
 public:
  CaseRound(DeviceContext& context, SceneArgs& args) : context_(context) {
    for (const auto& tensor : SceneStage::tensors(args)) staged_.emplace_back(tensor);
    for (auto& one : staged_) {
      const auto& t = *one.tensor;
      const auto described = runtime::Tensor::host_bytes(one.memory.data(), t.shape, t.dtype);
      if (!t.resident || one.memory.empty()) {
        run_args_.add(tensor_arg(described, t.tag));
        continue;
      }
      one.device = context_.malloc(one.memory.size()).value();
      context_.copy_to(one.device, one.memory.data(), one.memory.size()).value();
      run_args_.add(tensor_arg(described, t.tag, one.device, TROUPE_SPACE_DEVICE));
    }
    for (const auto& scalar : SceneStage::scalars(args)) run_args_.add(scalar.value);
  }

  Result<troupe_completion> run(const SceneCase& how, std::uint64_t callable) {
    auto run = run_args_.run(0, callable);
    run.blocks = how.blocks;
    run.block_dim = how.block_dim;
    run.control_threads = how.control_threads;
    run.flags = how.flags;
    run.chip_runtime = how.chip_runtime;
    return context_.run(run);
  }

  /// Fetches what is resident and gives its memory back.
  void collect() {
    for (auto& one : staged_) {
      if (one.device == 0) continue;
      context_.copy_from(one.memory.data(), one.device, one.memory.size()).value();
      context_.free(one.device).value();
    }
  }

  std::string wrong_after_success(const Scene& scene, bool compare) const {
    std::string wrong;
    for (const auto& one : staged_) {
      std::string text;
      if (!runtime::writes(one.tensor->tag)) {
        if (!one.tensor->resident && one.memory != one.before)
          text = "'" + one.tensor->name + "' is an input and was changed";
      } else if (compare && scene.golden) {
        text = difference(*one.tensor, one.memory, scene.relative, scene.absolute);
      }
      if (!text.empty()) wrong += (wrong.empty() ? "" : "; ") + text;
    }
    return wrong;
  }

  std::string wrong_after_failure() const {
    for (const auto& one : staged_) {
      if (!one.tensor->resident && one.memory != one.before) {
        return "the run failed, but '" + one.tensor->name + "' was copied back";
      }
    }
    return {};
  }

 private:
  DeviceContext& context_;
  std::vector<Staged> staged_;
  RunArgs run_args_;
};

Error wrong(std::string what) { return Error{Errc::kernel_failed, std::move(what)}; }

Result<void> play(const Scene& scene, const SceneCase& how, DeviceContext& context, std::uint64_t callable,
                  int rounds, bool compare) {
  SceneArgs args;
  if (scene.make) scene.make(args, how.params);
  for (auto& tensor : SceneStage::tensors(args)) tensor.expected = tensor.given;
  if (scene.golden) scene.golden(args, how.params);
  for (int i = 0; i < rounds; ++i) {
    CaseRound round{context, args};
    const auto ended = round.run(how, callable);
    if (how.fails_with == 0 && !ended) return ended.error();
    if (how.fails_with != 0) {
      if (ended)
        return wrong("the run succeeded instead of failing with code " + std::to_string(how.fails_with));
      if (ended.error().code().value != how.fails_with) {
        return wrong("the run failed with another code than " + std::to_string(how.fails_with))
            .caused_by(ended.error());
      }
    }
    round.collect();
    const auto text =
        how.fails_with == 0 ? round.wrong_after_success(scene, compare) : round.wrong_after_failure();
    if (!text.empty()) return wrong(rounds == 1 ? text : "round " + std::to_string(i) + ": " + text);
  }
  return {};
}

}  // namespace

Result<void> run_scene(const Scene& scene, const SceneCase& how, const std::string& platform, int device,
                       const troupe_module_v1& module, int rounds, bool compare) {
  return run_scene(scene, how, platform, ScenePlace{device, false}, module, rounds, compare);
}

Result<void> run_scene(const Scene& scene, const SceneCase& how, const std::string& platform,
                       ScenePlace place, const troupe_module_v1& module, int rounds, bool compare) try {
  // Before the platform is loaded, and before this process has a second thread.
  for (const auto& [name, value] : how.environment)
    setenv(name.c_str(), value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  const auto library = DeviceLibrary::open(platform);
  if (!library) return library.error();
  auto context = DeviceContext::create(library->api(), std::make_shared<HostThreads>()).value();
  const auto there = context.properties().value().device_count;
  if (there != 0) {
    if (place.any) place.device = static_cast<int>(static_cast<std::uint32_t>(place.device) % there);
    for (const auto& [name, value] : how.options) context.set_option(name, value).value();
  }
  if (const auto set = context.set_device(place.device); !set) {
    if (there != 0) return set;
    return Error{Errc::unsupported, set.error().message(), set.error().hint()};
  }
  const auto callable = context.register_callable(scene.callable, module).value();
  auto verdict = play(scene, how, context, callable, rounds, compare);
  auto closed = context.close();
  return verdict ? closed : verdict;
} catch (const Error& error) {
  return error;
} catch (const std::exception& error) {
  return wrong("the scene itself failed: " + runtime::text_of(error));
}

}  // namespace troupe::platform

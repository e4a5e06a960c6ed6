#pragma once

// Scenes: whole chip programs on a chip, checked against golden values computed in plain C++. SceneArgs owns
// the tensors of one case; a scene's functions borrow them during their call. One thread per case.
// Errors: run_scene() returns what differs, or the platform's error; SceneArgs and SceneParams throw
// invalid_argument for a name or type that the scene does not have; scene_main() answers an exit code.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/task_args.hpp"

/// A program of scenes is a list of `Scene` values and a main:
///
///   int main(int argc, char** argv) {
///     return scene_main(argc, argv, troupe_this_module, {
///       {.name = "vector", .callable = "vector_chain", .cases = {{.name = "small"}},
///        .make = [](SceneArgs& args, const SceneParams&) {
///          for (auto& x : args.in<float>("a", {128, 128})) x = 2.0f;
///          args.out<float>("f", {128, 128});
///        },
///        .golden = [](SceneArgs& args, const SceneParams&) {
///          for (auto& x : args.expected<float>("f")) x = 47.0f;
///        }}});
///   }
namespace troupe::platform {

/// Numbers of a case, by name. A missing one is an error that names it.
class TROUPE_API SceneParams {
 public:
  SceneParams() = default;
  SceneParams(std::initializer_list<std::pair<const std::string, std::int64_t>> values) : values_(values) {}
  [[nodiscard]] std::int64_t operator[](const std::string& name) const;
  [[nodiscard]] std::int64_t get(const std::string& name, std::int64_t otherwise) const;

 private:
  std::map<std::string, std::int64_t> values_;
};

/// The arguments of a scene by name, in the order of their making: tensors, then scalars. Inputs are kept
/// aside, so that the golden function sees what the chip saw. Spans live as long as the scene.
class TROUPE_API SceneArgs {
 public:
  SceneArgs();
  ~SceneArgs();
  SceneArgs(const SceneArgs&) = delete;
  SceneArgs& operator=(const SceneArgs&) = delete;

  /// Makes a tensor and hands out its elements to be filled (zero until then). An `out` starts as poison on
  /// the chip's side. `resident`: it lives in device memory before and after the run.
  template <runtime::Element T>
  std::span<T> in(const std::string& name, const runtime::Shape& shape, bool resident = false) {
    return made<T>(name, shape, runtime::Tag::in, resident);
  }
  template <runtime::Element T>
  std::span<T> inout(const std::string& name, const runtime::Shape& shape, bool resident = false) {
    return made<T>(name, shape, runtime::Tag::inout, resident);
  }
  template <runtime::Element T>
  void out(const std::string& name, const runtime::Shape& shape, bool resident = false) {
    (void)made<T>(name, shape, runtime::Tag::out, resident);
  }
  template <runtime::Scalar T>
  void scalar(const std::string& name, T value) {
    add_scalar(name, runtime::scalar(value));
  }

  /// The elements that `make` filled in. Throws for an unknown name or another type.
  template <runtime::Element T>
  [[nodiscard]] std::span<const T> tensor(const std::string& name) const {
    const auto bytes = given(name, runtime::dtype_of<T>);
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  /// The elements that the chip has to answer for an output; they start as those that were given.
  template <runtime::Element T>
  [[nodiscard]] std::span<T> expected(const std::string& name) {
    const auto bytes = wanted(name, runtime::dtype_of<T>);
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  template <runtime::Scalar T>
  [[nodiscard]] T scalar_value(const std::string& name) const {
    return runtime::read_scalar<T>(scalar_of(name), 0);
  }

 private:
  friend class SceneStage;
  template <runtime::Element T>
  std::span<T> made(const std::string& name, const runtime::Shape& shape, runtime::Tag tag, bool resident) {
    const auto bytes = add_tensor(name, shape, runtime::dtype_of<T>, tag, resident);
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  std::span<std::byte> add_tensor(const std::string& name, const runtime::Shape& shape, runtime::DType dtype,
                                  runtime::Tag tag, bool resident);
  void add_scalar(const std::string& name, runtime::ScalarArg value);
  std::span<const std::byte> given(const std::string& name, runtime::DType dtype) const;
  std::span<std::byte> wanted(const std::string& name, runtime::DType dtype);
  runtime::ScalarArg scalar_of(const std::string& name) const;

  struct State;
  std::unique_ptr<State> state_;
};

/// One way to run a scene.
struct SceneCase {
  std::string name;
  SceneParams params = {};
  std::vector<std::string> platforms = {};  ///< empty: every one
  bool manual = false;                      ///< only with --manual
  /// The code that the run has to end with; then nothing may have been copied back.
  std::int32_t fails_with = 0;
  // How it is launched; see troupe_run.
  std::uint32_t blocks = 0, block_dim = 0, control_threads = 0, flags = 0;
  troupe_chip_runtime chip_runtime = TROUPE_CHIP_RUNTIME_DEFAULT;
  std::map<std::string, std::string> environment = {};  ///< set before the platform is loaded
  std::map<std::string, std::string> options = {};      ///< set_device_option
};

struct Scene {
  std::string name;
  std::string callable;  ///< chip program or kernel of the module
  std::vector<SceneCase> cases;
  std::function<void(SceneArgs&, const SceneParams&)> make;
  std::function<void(SceneArgs&, const SceneParams&)> golden = {};  ///< empty: outputs are not compared
  /// |got - want| <= absolute + relative * |want|; integers are compared exactly.
  double relative = 1e-5, absolute = 1e-5;
};

/// Runs one case in this process; the error names the first element that differs. `unsupported`: the platform
/// cannot run it, or has no device.
TROUPE_API Result<void> run_scene(const Scene& scene, const SceneCase& scene_case,
                                  const std::string& platform, int device, const troupe_module_v1& module,
                                  int rounds = 1, bool compare = true);

/// The program: chooses cases by its options (--help), spreads them over virtual devices, each in a process
/// of its own, and answers the exit code of `RunnerSummary`; 2 for bad options, 4 when the platform can play
/// none of them. `again`: the words that start
/// such a process so that it comes to the same call; the case's options are added.
TROUPE_API int scene_main(int argc, char** argv, const troupe_module_v1& module,
                          const std::vector<Scene>& scenes,
                          const std::vector<std::string>& again = {"/proc/self/exe"});

}  // namespace troupe::platform

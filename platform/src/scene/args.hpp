#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "troupe/platform/scene.hpp"

namespace troupe::platform {

struct SceneTensor {
  std::string name;
  runtime::Shape shape;
  runtime::DType dtype{};
  runtime::Tag tag{};
  bool resident = false;
  std::vector<std::byte> given, expected;
};
struct SceneScalar {
  std::string name;
  runtime::ScalarArg value;
};

struct SceneArgs::State {
  std::vector<SceneTensor> tensors;
  std::vector<SceneScalar> scalars;
  SceneTensor& find(const std::string& name);
};

/// Opens the arguments to the code that runs scenes.
class SceneStage {
 public:
  static std::vector<SceneTensor>& tensors(SceneArgs& args) { return args.state_->tensors; }
  static std::vector<SceneScalar>& scalars(SceneArgs& args) { return args.state_->scalars; }
};

/// Where a case runs: on that device, or on any, in which case those of one number share what there is.
struct ScenePlace {
  int device = 0;
  bool any = false;
};
Result<void> run_scene(const Scene& scene, const SceneCase& how, const std::string& platform,
                       ScenePlace place, const troupe_module_v1& module, int rounds, bool compare);

/// Whether `got` is what is expected of the tensor; the text says where it is not first, and how often.
std::string difference(const SceneTensor& tensor, const std::vector<std::byte>& got, double relative,
                       double absolute);

}  // namespace troupe::platform

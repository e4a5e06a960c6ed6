#pragma once

#include <vector>

#include "troupe/platform/scene.hpp"

/// The built-in scenes, by the file that has their kernels.
namespace troupe::scenes {

std::vector<platform::Scene> vector_scenes();
std::vector<platform::Scene> matmul_scenes();
std::vector<platform::Scene> attention_scenes();
std::vector<platform::Scene> cluster_scenes();
std::vector<platform::Scene> plan_scenes();
std::vector<platform::Scene> data_scenes();
std::vector<platform::Scene> fatal_scenes();
std::vector<platform::Scene> device_scenes();

}  // namespace troupe::scenes

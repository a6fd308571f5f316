#include "formats/openvino_ir/rt_info.hpp"

#include <cctype>
#include <sstream>

namespace hone::ir {

std::string escaped(const std::string& name) {
  std::string s;
  for (char c : name) s += c == ',' ? std::string("\\,") : std::string(1, c);
  return s;
}
std::string joined(const std::vector<std::string>& names) {
  std::string s;
  for (const std::string& n : names) s += (s.empty() ? "" : ",") + escaped(n);
  return s;
}

void write_info(pugi::xml_node to, const NodeData& n, int port) {
  pugi::xml_node info;
  auto attribute = [&](const std::string& name) {
    if (!info) info = to.append_child("rt_info");
    auto a = info.append_child("attribute");
    a.append_attribute("name").set_value(name.c_str());
    return a;
  };
  if (port < 0 && !n.provenance.empty() && !(n.provenance.size() == 1 && n.provenance[0] == n.name)) {
    auto a = attribute("fused_names");
    a.append_attribute("version").set_value("0");
    a.append_attribute("value").set_value(joined(n.provenance).c_str());
  }
  const std::string prefix = port < 0 ? "rt_info/" : "rt_info/port" + std::to_string(port) + "/";
  for (const auto& [key, text] : n.info) {
    if (!key.starts_with(prefix) || key.find('/', prefix.size()) != std::string::npos) continue;
    auto a = attribute(key.substr(prefix.size()));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const size_t eq = line.find('=');
      if (eq != std::string::npos)
        a.append_attribute(line.substr(0, eq).c_str()).set_value(line.substr(eq + 1).c_str());
    }
  }
}

void write_model_info(pugi::xml_node net, const std::map<std::string, std::string>& info) {
  auto root = net.append_child("rt_info");
  for (const auto& [key, value] : info) {
    auto at = root;
    std::istringstream parts(key);
    for (std::string part; std::getline(parts, part, '/');) {
      for (char& c : part)
        c = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '_';
      if (part.empty() || std::isdigit(static_cast<unsigned char>(part[0])) || part[0] == '-' || part[0] == '.')
        part.insert(0, 1, '_');
      auto child = at.child(part.c_str());
      at = child ? child : at.append_child(part.c_str());
    }
    if (!at.attribute("value")) at.append_attribute("value");
    at.attribute("value").set_value(value.c_str());
  }
}

}  // namespace hone::ir

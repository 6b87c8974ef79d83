variable "project_id" {
  description = "Id of the project that holds the pools."
  type        = string

  validation {
    condition     = !can(regex("^[0-9]+$", var.project_id))
    error_message = "project_id is the project's id, not its number."
  }
}

variable "universe_domain" {
  description = "The universe's domain; principals and audiences hold it."
  type        = string
  default     = "googleapis.com"
}

variable "shared_pool" {
  description = "Id of one pool for all clusters. Left out, every cluster has a pool of its own, which is safer: clusters of one kind say the same issuer and the same subjects."
  type        = string
  default     = null
}

variable "clusters" {
  description = "The clusters by name: `issuer` byte for byte; `jwks_json` where Google cannot fetch the keys; `pool` and `provider` ids (default: k8s-NAME); `map_pod` maps the pod's name, for cacheType Token alone; `google_service_account` is impersonated for all pulls."
  type = map(object({
    issuer                 = string
    jwks_json              = optional(string)
    pool                   = optional(string)
    provider               = optional(string)
    map_pod                = optional(bool, false)
    google_service_account = optional(string)
  }))

  validation {
    condition     = alltrue([for cluster in values(var.clusters) : startswith(cluster.issuer, "https://")])
    error_message = "An issuer begins with https://: Google takes no other, even with jwks_json."
  }

  # What is given here goes into the state and to Google.
  validation {
    condition = alltrue([
      for cluster in values(var.clusters) : cluster.jwks_json == null ? true : try(
        length(jsondecode(cluster.jwks_json).keys) > 0 && alltrue([
          for key in jsondecode(cluster.jwks_json).keys :
          length(setintersection(keys(key), ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])) == 0
        ]),
        false,
      )
    ])
    error_message = "jwks_json is a cluster's public key set, as `kubectl get --raw /openid/v1/jwks` prints it: JSON with a list of keys, and no private key."
  }

  validation {
    condition = alltrue([
      for cluster in values(var.clusters) : cluster.jwks_json == null || !can(regex(
        "^https://(${join("|", [
          "oidc[.-]eks\\.[a-z0-9-]+\\.(amazonaws\\.(com|com\\.cn|eu)|api\\.aws|api\\.amazonwebservices\\.(com\\.cn|eu))",
          "([a-z0-9-]+\\.)?oic\\.prod-aks\\.azure\\.(com|us|cn)",
          "container\\.googleapis\\.com",
        ])})(/|$)",
        cluster.issuer,
      ))
    ])
    error_message = "EKS, AKS and GKE replace their signing keys by themselves: uploaded ones would soon be wrong. Leave jwks_json out, and Google fetches them."
  }

  validation {
    condition = alltrue([
      for cluster in values(var.clusters) :
      cluster.jwks_json != null || !can(regex("^https://kubernetes\\.default([.:/]|$)", cluster.issuer))
    ])
    error_message = "Google cannot fetch from https://kubernetes.default...: give jwks_json, as `kubectl get --raw /openid/v1/jwks` prints it."
  }

  validation {
    condition = alltrue([
      for cluster in values(var.clusters) :
      cluster.jwks_json != null || length([for other in values(var.clusters) : other if other.issuer == cluster.issuer]) == 1
    ])
    error_message = "A public issuer has the keys of one cluster: whoever holds them would be both. Give each cluster its own, as `kubectl get --raw /.well-known/openid-configuration` shows it."
  }

  # Of other key sets than lists of RSA and EC keys a validation above, or Google, has the word.
  validation {
    condition = try(alltrue([
      for name, cluster in var.clusters : alltrue([
        for other, its in var.clusters : name == other || length(setintersection(
          [for key in jsondecode(cluster.jwks_json).keys : try(key.n, key.x)],
          [for key in jsondecode(its.jwks_json).keys : try(key.n, key.x)],
        )) == 0 if its.jwks_json != null
      ]) if cluster.jwks_json != null
    ]), true)
    error_message = "Two clusters have a key in common: to Google, each ServiceAccount of the one would be that of the other. Give each its own jwks_json."
  }
}

variable "repositories" {
  description = "The Artifact Registry repositories by a name of your choice: `location`, `repository` (default: the name) and `project` (default: project_id)."
  type = map(object({
    location   = string
    repository = optional(string)
    project    = optional(string)
  }))
}

variable "pull" {
  description = "Who may pull: a ServiceAccount; without `service_account` a whole namespace; without `namespace` a whole cluster. `repositories` by their names above (default: all); `google_service_account` is impersonated for this one."
  type = list(object({
    cluster                = string
    namespace              = optional(string)
    service_account        = optional(string)
    repositories           = optional(list(string))
    google_service_account = optional(string)
  }))
}

variable "create_service_accounts" {
  description = "Make the impersonated service accounts that are of project_id."
  type        = bool
  default     = true
}

variable "enable_apis" {
  description = "Enable the APIs that are needed in project_id."
  type        = bool
  default     = true
}

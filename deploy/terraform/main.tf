locals {
  apis = toset(var.enable_apis ? [
    "artifactregistry.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "sts.googleapis.com",
  ] : [])

  # A project id of the form SCOPE:NAME is written NAME.SCOPE in e-mails.
  account_domain = "${join(".", reverse(split(":", var.project_id)))}.iam.gserviceaccount.com"

  accounts = {
    for email in module.names.accounts :
    email => split("@", email)[0]
    if var.create_service_accounts && endswith(email, "@${local.account_domain}")
  }
}

data "google_project" "pools" {
  project_id = var.project_id
}

module "names" {
  source = "./modules/names"

  project_number  = data.google_project.pools.number
  universe_domain = var.universe_domain
  shared_pool     = var.shared_pool
  repositories    = keys(var.repositories)
  pull            = var.pull

  clusters = {
    for name, cluster in var.clusters : name => {
      pool                   = cluster.pool
      provider               = cluster.provider
      map_pod                = cluster.map_pod
      google_service_account = cluster.google_service_account
    }
  }
}

resource "google_project_service" "api" {
  for_each = local.apis

  project            = var.project_id
  service            = each.value
  disable_on_destroy = false
}

resource "google_iam_workload_identity_pool" "pool" {
  for_each = module.names.pools

  project                   = var.project_id
  workload_identity_pool_id = each.key
  display_name              = each.value

  depends_on = [google_project_service.api]
}

resource "google_iam_workload_identity_pool_provider" "cluster" {
  for_each = module.names.providers

  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.pool[each.value.pool].workload_identity_pool_id
  workload_identity_pool_provider_id = each.value.provider
  display_name                       = each.value.display_name
  attribute_mapping                  = each.value.attribute_mapping
  attribute_condition                = each.value.attribute_condition

  oidc {
    issuer_uri = var.clusters[each.key].issuer
    jwks_json  = var.clusters[each.key].jwks_json
  }
}

resource "google_service_account" "impersonated" {
  for_each = local.accounts

  project      = var.project_id
  account_id   = each.value
  display_name = "pulls images for Kubernetes"

  depends_on = [google_project_service.api]
}

# IAM takes members of pools and accounts only once these are there.
resource "google_artifact_registry_repository_iam_member" "reader" {
  for_each = module.names.readers

  project    = coalesce(var.repositories[each.value.repository].project, var.project_id)
  location   = var.repositories[each.value.repository].location
  repository = coalesce(var.repositories[each.value.repository].repository, each.value.repository)
  role       = "roles/artifactregistry.reader"
  member     = each.value.member

  depends_on = [
    google_iam_workload_identity_pool.pool,
    google_service_account.impersonated,
  ]
}

resource "google_service_account_iam_member" "user" {
  for_each = module.names.users

  service_account_id = "projects/${try(regex("@([^.]+)[.]iam[.]gserviceaccount[.]com$", each.value.account)[0], "-")}/serviceAccounts/${each.value.account}"
  role               = "roles/iam.workloadIdentityUser"
  member             = each.value.member

  depends_on = [
    google_iam_workload_identity_pool.pool,
    google_service_account.impersonated,
  ]
}

// Made from conf/net-conf.schema.json by scripts/gen-conf.ts; change the schema, not this file.
'use strict'
export const validate = validate21
export default validate21
const schema6 = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'net-conf',
  title: 'NetConf',
  description:
    'What a CNI plugin of heddle reads on standard input. Only forms are checked here; meaning is checked by whoever uses a key. Keys match without regard to case, unknown ones are kept.',
  type: 'object',
  properties: {
    cniVersion: { type: 'string' },
    name: { type: 'string' },
    type: { type: 'string' },
    disableCheck: { type: 'boolean' },
    disableGC: { type: 'boolean' },
    capabilities: { type: 'object', additionalProperties: { type: 'boolean' } },
    args: {
      type: 'object',
      properties: {
        cni: {
          type: 'object',
          properties: { ips: { $ref: '#/definitions/strings' }, mac: { type: 'string' } },
        },
      },
    },
    runtimeConfig: {
      type: 'object',
      properties: {
        ips: { $ref: '#/definitions/strings' },
        mac: { type: 'string' },
        ipRanges: { $ref: '#/definitions/rangeSets' },
        portMappings: { type: 'array', items: { type: 'object' } },
        bandwidth: { type: 'object' },
        dns: { $ref: '#/definitions/runtimeDns' },
      },
    },
    prevResult: { type: 'object' },
    dns: { $ref: '#/definitions/dns' },
    mode: { type: 'string' },
    bridge: { type: 'string' },
    isGateway: { type: 'boolean' },
    isDefaultGateway: { type: 'boolean' },
    forceAddress: { type: 'boolean' },
    ipMasq: { type: 'boolean' },
    ipMasqBackend: { type: 'string' },
    mtu: { type: 'integer' },
    hairpinMode: { type: 'boolean' },
    promiscMode: { type: 'boolean' },
    vlan: { type: 'integer' },
    vlanTrunk: { type: 'array', items: { type: 'object' } },
    preserveDefaultVlan: { type: 'boolean' },
    macspoofchk: { type: 'boolean' },
    enabledad: { type: 'boolean' },
    disableContainerInterface: { type: 'boolean' },
    portIsolation: { type: 'boolean' },
    ipam: { $ref: '#/definitions/ipamConf' },
    subnetFile: { type: 'string' },
    dataDir: { type: 'string' },
    delegate: { type: 'object' },
    chained: { type: 'boolean' },
    master: { type: 'string' },
    macvlanMode: { type: 'string' },
    linkInContainer: { type: 'boolean' },
    bcqueuelen: { type: 'integer' },
  },
  definitions: {
    strings: { type: 'array', items: { type: 'string' } },
    dns: {
      title: 'DnsConf',
      type: 'object',
      properties: {
        nameservers: { $ref: '#/definitions/strings' },
        domain: { type: 'string' },
        search: { $ref: '#/definitions/strings' },
        options: { $ref: '#/definitions/strings' },
      },
    },
    runtimeDns: {
      title: 'RuntimeDns',
      type: 'object',
      properties: {
        servers: { $ref: '#/definitions/strings' },
        searches: { $ref: '#/definitions/strings' },
        options: { $ref: '#/definitions/strings' },
      },
    },
    rangeConf: {
      title: 'RangeConf',
      type: 'object',
      properties: {
        subnet: { type: 'string' },
        rangeStart: { type: 'string' },
        rangeEnd: { type: 'string' },
        gateway: { type: 'string' },
      },
    },
    rangeSets: {
      type: 'array',
      items: { type: 'array', items: { $ref: '#/definitions/rangeConf' } },
    },
    routeConf: {
      title: 'RouteConf',
      type: 'object',
      properties: {
        dst: { type: 'string' },
        gw: { type: 'string' },
        mtu: { type: 'integer' },
        advmss: { type: 'integer' },
        priority: { type: 'integer' },
        table: { type: 'integer' },
        scope: { type: 'integer' },
      },
      required: ['dst'],
    },
    ipamConf: {
      title: 'IpamConf',
      type: 'object',
      properties: {
        type: { type: 'string' },
        dataDir: { type: 'string' },
        resolvConf: { type: 'string' },
        routes: { type: 'array', items: { $ref: '#/definitions/routeConf' } },
        ranges: { $ref: '#/definitions/rangeSets' },
        subnet: { type: 'string' },
        rangeStart: { type: 'string' },
        rangeEnd: { type: 'string' },
        gateway: { type: 'string' },
      },
    },
  },
}
const schema7 = { type: 'array', items: { type: 'string' } }

function validate22(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (Array.isArray(data)) {
      var valid0 = true
      const len0 = data.length
      for (let i0 = 0; i0 < len0; i0++) {
        const _errs1 = errors
        if (typeof data[i0] !== 'string') {
          validate22.errors = [
            {
              instancePath: instancePath + '/' + i0,
              schemaPath: '#/items/type',
              keyword: 'type',
              params: { type: 'string' },
              message: 'must be string',
            },
          ]
          return false
        }
        var valid0 = _errs1 === errors
        if (!valid0) {
          break
        }
      }
    } else {
      validate22.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'array' },
          message: 'must be array',
        },
      ]
      return false
    }
  }
  validate22.errors = vErrors
  return errors === 0
}

const schema8 = {
  type: 'array',
  items: { type: 'array', items: { $ref: '#/definitions/rangeConf' } },
}
const schema9 = {
  title: 'RangeConf',
  type: 'object',
  properties: {
    subnet: { type: 'string' },
    rangeStart: { type: 'string' },
    rangeEnd: { type: 'string' },
    gateway: { type: 'string' },
  },
}

function validate26(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.subnet !== undefined) {
        const _errs1 = errors
        if (typeof data.subnet !== 'string') {
          validate26.errors = [
            {
              instancePath: instancePath + '/subnet',
              schemaPath: '#/properties/subnet/type',
              keyword: 'type',
              params: { type: 'string' },
              message: 'must be string',
            },
          ]
          return false
        }
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.rangeStart !== undefined) {
          const _errs3 = errors
          if (typeof data.rangeStart !== 'string') {
            validate26.errors = [
              {
                instancePath: instancePath + '/rangeStart',
                schemaPath: '#/properties/rangeStart/type',
                keyword: 'type',
                params: { type: 'string' },
                message: 'must be string',
              },
            ]
            return false
          }
          var valid0 = _errs3 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.rangeEnd !== undefined) {
            const _errs5 = errors
            if (typeof data.rangeEnd !== 'string') {
              validate26.errors = [
                {
                  instancePath: instancePath + '/rangeEnd',
                  schemaPath: '#/properties/rangeEnd/type',
                  keyword: 'type',
                  params: { type: 'string' },
                  message: 'must be string',
                },
              ]
              return false
            }
            var valid0 = _errs5 === errors
          } else {
            var valid0 = true
          }
          if (valid0) {
            if (data.gateway !== undefined) {
              const _errs7 = errors
              if (typeof data.gateway !== 'string') {
                validate26.errors = [
                  {
                    instancePath: instancePath + '/gateway',
                    schemaPath: '#/properties/gateway/type',
                    keyword: 'type',
                    params: { type: 'string' },
                    message: 'must be string',
                  },
                ]
                return false
              }
              var valid0 = _errs7 === errors
            } else {
              var valid0 = true
            }
          }
        }
      }
    } else {
      validate26.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'object' },
          message: 'must be object',
        },
      ]
      return false
    }
  }
  validate26.errors = vErrors
  return errors === 0
}

function validate25(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (Array.isArray(data)) {
      var valid0 = true
      const len0 = data.length
      for (let i0 = 0; i0 < len0; i0++) {
        let data0 = data[i0]
        const _errs1 = errors
        if (errors === _errs1) {
          if (Array.isArray(data0)) {
            var valid1 = true
            const len1 = data0.length
            for (let i1 = 0; i1 < len1; i1++) {
              const _errs3 = errors
              if (
                !validate26(data0[i1], {
                  instancePath: instancePath + '/' + i0 + '/' + i1,
                  parentData: data0,
                  parentDataProperty: i1,
                  rootData,
                })
              ) {
                vErrors = vErrors === null ? validate26.errors : vErrors.concat(validate26.errors)
                errors = vErrors.length
              }
              var valid1 = _errs3 === errors
              if (!valid1) {
                break
              }
            }
          } else {
            validate25.errors = [
              {
                instancePath: instancePath + '/' + i0,
                schemaPath: '#/items/type',
                keyword: 'type',
                params: { type: 'array' },
                message: 'must be array',
              },
            ]
            return false
          }
        }
        var valid0 = _errs1 === errors
        if (!valid0) {
          break
        }
      }
    } else {
      validate25.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'array' },
          message: 'must be array',
        },
      ]
      return false
    }
  }
  validate25.errors = vErrors
  return errors === 0
}

const schema10 = {
  title: 'RuntimeDns',
  type: 'object',
  properties: {
    servers: { $ref: '#/definitions/strings' },
    searches: { $ref: '#/definitions/strings' },
    options: { $ref: '#/definitions/strings' },
  },
}

function validate29(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.servers !== undefined) {
        const _errs1 = errors
        if (
          !validate22(data.servers, {
            instancePath: instancePath + '/servers',
            parentData: data,
            parentDataProperty: 'servers',
            rootData,
          })
        ) {
          vErrors = vErrors === null ? validate22.errors : vErrors.concat(validate22.errors)
          errors = vErrors.length
        }
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.searches !== undefined) {
          const _errs2 = errors
          if (
            !validate22(data.searches, {
              instancePath: instancePath + '/searches',
              parentData: data,
              parentDataProperty: 'searches',
              rootData,
            })
          ) {
            vErrors = vErrors === null ? validate22.errors : vErrors.concat(validate22.errors)
            errors = vErrors.length
          }
          var valid0 = _errs2 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.options !== undefined) {
            const _errs3 = errors
            if (
              !validate22(data.options, {
                instancePath: instancePath + '/options',
                parentData: data,
                parentDataProperty: 'options',
                rootData,
              })
            ) {
              vErrors = vErrors === null ? validate22.errors : vErrors.concat(validate22.errors)
              errors = vErrors.length
            }
            var valid0 = _errs3 === errors
          } else {
            var valid0 = true
          }
        }
      }
    } else {
      validate29.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'object' },
          message: 'must be object',
        },
      ]
      return false
    }
  }
  validate29.errors = vErrors
  return errors === 0
}

const schema11 = {
  title: 'DnsConf',
  type: 'object',
  properties: {
    nameservers: { $ref: '#/definitions/strings' },
    domain: { type: 'string' },
    search: { $ref: '#/definitions/strings' },
    options: { $ref: '#/definitions/strings' },
  },
}

function validate34(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.nameservers !== undefined) {
        const _errs1 = errors
        if (
          !validate22(data.nameservers, {
            instancePath: instancePath + '/nameservers',
            parentData: data,
            parentDataProperty: 'nameservers',
            rootData,
          })
        ) {
          vErrors = vErrors === null ? validate22.errors : vErrors.concat(validate22.errors)
          errors = vErrors.length
        }
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.domain !== undefined) {
          const _errs2 = errors
          if (typeof data.domain !== 'string') {
            validate34.errors = [
              {
                instancePath: instancePath + '/domain',
                schemaPath: '#/properties/domain/type',
                keyword: 'type',
                params: { type: 'string' },
                message: 'must be string',
              },
            ]
            return false
          }
          var valid0 = _errs2 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.search !== undefined) {
            const _errs4 = errors
            if (
              !validate22(data.search, {
                instancePath: instancePath + '/search',
                parentData: data,
                parentDataProperty: 'search',
                rootData,
              })
            ) {
              vErrors = vErrors === null ? validate22.errors : vErrors.concat(validate22.errors)
              errors = vErrors.length
            }
            var valid0 = _errs4 === errors
          } else {
            var valid0 = true
          }
          if (valid0) {
            if (data.options !== undefined) {
              const _errs5 = errors
              if (
                !validate22(data.options, {
                  instancePath: instancePath + '/options',
                  parentData: data,
                  parentDataProperty: 'options',
                  rootData,
                })
              ) {
                vErrors = vErrors === null ? validate22.errors : vErrors.concat(validate22.errors)
                errors = vErrors.length
              }
              var valid0 = _errs5 === errors
            } else {
              var valid0 = true
            }
          }
        }
      }
    } else {
      validate34.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'object' },
          message: 'must be object',
        },
      ]
      return false
    }
  }
  validate34.errors = vErrors
  return errors === 0
}

const schema12 = {
  title: 'IpamConf',
  type: 'object',
  properties: {
    type: { type: 'string' },
    dataDir: { type: 'string' },
    resolvConf: { type: 'string' },
    routes: { type: 'array', items: { $ref: '#/definitions/routeConf' } },
    ranges: { $ref: '#/definitions/rangeSets' },
    subnet: { type: 'string' },
    rangeStart: { type: 'string' },
    rangeEnd: { type: 'string' },
    gateway: { type: 'string' },
  },
}
const schema13 = {
  title: 'RouteConf',
  type: 'object',
  properties: {
    dst: { type: 'string' },
    gw: { type: 'string' },
    mtu: { type: 'integer' },
    advmss: { type: 'integer' },
    priority: { type: 'integer' },
    table: { type: 'integer' },
    scope: { type: 'integer' },
  },
  required: ['dst'],
}

function validate40(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      let missing0
      if (data.dst === undefined && (missing0 = 'dst')) {
        validate40.errors = [
          {
            instancePath,
            schemaPath: '#/required',
            keyword: 'required',
            params: { missingProperty: missing0 },
            message: "must have required property '" + missing0 + "'",
          },
        ]
        return false
      } else {
        if (data.dst !== undefined) {
          const _errs1 = errors
          if (typeof data.dst !== 'string') {
            validate40.errors = [
              {
                instancePath: instancePath + '/dst',
                schemaPath: '#/properties/dst/type',
                keyword: 'type',
                params: { type: 'string' },
                message: 'must be string',
              },
            ]
            return false
          }
          var valid0 = _errs1 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.gw !== undefined) {
            const _errs3 = errors
            if (typeof data.gw !== 'string') {
              validate40.errors = [
                {
                  instancePath: instancePath + '/gw',
                  schemaPath: '#/properties/gw/type',
                  keyword: 'type',
                  params: { type: 'string' },
                  message: 'must be string',
                },
              ]
              return false
            }
            var valid0 = _errs3 === errors
          } else {
            var valid0 = true
          }
          if (valid0) {
            if (data.mtu !== undefined) {
              let data2 = data.mtu
              const _errs5 = errors
              if (!(typeof data2 == 'number' && !(data2 % 1) && !isNaN(data2))) {
                validate40.errors = [
                  {
                    instancePath: instancePath + '/mtu',
                    schemaPath: '#/properties/mtu/type',
                    keyword: 'type',
                    params: { type: 'integer' },
                    message: 'must be integer',
                  },
                ]
                return false
              }
              var valid0 = _errs5 === errors
            } else {
              var valid0 = true
            }
            if (valid0) {
              if (data.advmss !== undefined) {
                let data3 = data.advmss
                const _errs7 = errors
                if (!(typeof data3 == 'number' && !(data3 % 1) && !isNaN(data3))) {
                  validate40.errors = [
                    {
                      instancePath: instancePath + '/advmss',
                      schemaPath: '#/properties/advmss/type',
                      keyword: 'type',
                      params: { type: 'integer' },
                      message: 'must be integer',
                    },
                  ]
                  return false
                }
                var valid0 = _errs7 === errors
              } else {
                var valid0 = true
              }
              if (valid0) {
                if (data.priority !== undefined) {
                  let data4 = data.priority
                  const _errs9 = errors
                  if (!(typeof data4 == 'number' && !(data4 % 1) && !isNaN(data4))) {
                    validate40.errors = [
                      {
                        instancePath: instancePath + '/priority',
                        schemaPath: '#/properties/priority/type',
                        keyword: 'type',
                        params: { type: 'integer' },
                        message: 'must be integer',
                      },
                    ]
                    return false
                  }
                  var valid0 = _errs9 === errors
                } else {
                  var valid0 = true
                }
                if (valid0) {
                  if (data.table !== undefined) {
                    let data5 = data.table
                    const _errs11 = errors
                    if (!(typeof data5 == 'number' && !(data5 % 1) && !isNaN(data5))) {
                      validate40.errors = [
                        {
                          instancePath: instancePath + '/table',
                          schemaPath: '#/properties/table/type',
                          keyword: 'type',
                          params: { type: 'integer' },
                          message: 'must be integer',
                        },
                      ]
                      return false
                    }
                    var valid0 = _errs11 === errors
                  } else {
                    var valid0 = true
                  }
                  if (valid0) {
                    if (data.scope !== undefined) {
                      let data6 = data.scope
                      const _errs13 = errors
                      if (!(typeof data6 == 'number' && !(data6 % 1) && !isNaN(data6))) {
                        validate40.errors = [
                          {
                            instancePath: instancePath + '/scope',
                            schemaPath: '#/properties/scope/type',
                            keyword: 'type',
                            params: { type: 'integer' },
                            message: 'must be integer',
                          },
                        ]
                        return false
                      }
                      var valid0 = _errs13 === errors
                    } else {
                      var valid0 = true
                    }
                  }
                }
              }
            }
          }
        }
      }
    } else {
      validate40.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'object' },
          message: 'must be object',
        },
      ]
      return false
    }
  }
  validate40.errors = vErrors
  return errors === 0
}

function validate39(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.type !== undefined) {
        const _errs1 = errors
        if (typeof data.type !== 'string') {
          validate39.errors = [
            {
              instancePath: instancePath + '/type',
              schemaPath: '#/properties/type/type',
              keyword: 'type',
              params: { type: 'string' },
              message: 'must be string',
            },
          ]
          return false
        }
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.dataDir !== undefined) {
          const _errs3 = errors
          if (typeof data.dataDir !== 'string') {
            validate39.errors = [
              {
                instancePath: instancePath + '/dataDir',
                schemaPath: '#/properties/dataDir/type',
                keyword: 'type',
                params: { type: 'string' },
                message: 'must be string',
              },
            ]
            return false
          }
          var valid0 = _errs3 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.resolvConf !== undefined) {
            const _errs5 = errors
            if (typeof data.resolvConf !== 'string') {
              validate39.errors = [
                {
                  instancePath: instancePath + '/resolvConf',
                  schemaPath: '#/properties/resolvConf/type',
                  keyword: 'type',
                  params: { type: 'string' },
                  message: 'must be string',
                },
              ]
              return false
            }
            var valid0 = _errs5 === errors
          } else {
            var valid0 = true
          }
          if (valid0) {
            if (data.routes !== undefined) {
              let data3 = data.routes
              const _errs7 = errors
              if (errors === _errs7) {
                if (Array.isArray(data3)) {
                  var valid1 = true
                  const len0 = data3.length
                  for (let i0 = 0; i0 < len0; i0++) {
                    const _errs9 = errors
                    if (
                      !validate40(data3[i0], {
                        instancePath: instancePath + '/routes/' + i0,
                        parentData: data3,
                        parentDataProperty: i0,
                        rootData,
                      })
                    ) {
                      vErrors =
                        vErrors === null ? validate40.errors : vErrors.concat(validate40.errors)
                      errors = vErrors.length
                    }
                    var valid1 = _errs9 === errors
                    if (!valid1) {
                      break
                    }
                  }
                } else {
                  validate39.errors = [
                    {
                      instancePath: instancePath + '/routes',
                      schemaPath: '#/properties/routes/type',
                      keyword: 'type',
                      params: { type: 'array' },
                      message: 'must be array',
                    },
                  ]
                  return false
                }
              }
              var valid0 = _errs7 === errors
            } else {
              var valid0 = true
            }
            if (valid0) {
              if (data.ranges !== undefined) {
                const _errs10 = errors
                if (
                  !validate25(data.ranges, {
                    instancePath: instancePath + '/ranges',
                    parentData: data,
                    parentDataProperty: 'ranges',
                    rootData,
                  })
                ) {
                  vErrors = vErrors === null ? validate25.errors : vErrors.concat(validate25.errors)
                  errors = vErrors.length
                }
                var valid0 = _errs10 === errors
              } else {
                var valid0 = true
              }
              if (valid0) {
                if (data.subnet !== undefined) {
                  const _errs11 = errors
                  if (typeof data.subnet !== 'string') {
                    validate39.errors = [
                      {
                        instancePath: instancePath + '/subnet',
                        schemaPath: '#/properties/subnet/type',
                        keyword: 'type',
                        params: { type: 'string' },
                        message: 'must be string',
                      },
                    ]
                    return false
                  }
                  var valid0 = _errs11 === errors
                } else {
                  var valid0 = true
                }
                if (valid0) {
                  if (data.rangeStart !== undefined) {
                    const _errs13 = errors
                    if (typeof data.rangeStart !== 'string') {
                      validate39.errors = [
                        {
                          instancePath: instancePath + '/rangeStart',
                          schemaPath: '#/properties/rangeStart/type',
                          keyword: 'type',
                          params: { type: 'string' },
                          message: 'must be string',
                        },
                      ]
                      return false
                    }
                    var valid0 = _errs13 === errors
                  } else {
                    var valid0 = true
                  }
                  if (valid0) {
                    if (data.rangeEnd !== undefined) {
                      const _errs15 = errors
                      if (typeof data.rangeEnd !== 'string') {
                        validate39.errors = [
                          {
                            instancePath: instancePath + '/rangeEnd',
                            schemaPath: '#/properties/rangeEnd/type',
                            keyword: 'type',
                            params: { type: 'string' },
                            message: 'must be string',
                          },
                        ]
                        return false
                      }
                      var valid0 = _errs15 === errors
                    } else {
                      var valid0 = true
                    }
                    if (valid0) {
                      if (data.gateway !== undefined) {
                        const _errs17 = errors
                        if (typeof data.gateway !== 'string') {
                          validate39.errors = [
                            {
                              instancePath: instancePath + '/gateway',
                              schemaPath: '#/properties/gateway/type',
                              keyword: 'type',
                              params: { type: 'string' },
                              message: 'must be string',
                            },
                          ]
                          return false
                        }
                        var valid0 = _errs17 === errors
                      } else {
                        var valid0 = true
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    } else {
      validate39.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'object' },
          message: 'must be object',
        },
      ]
      return false
    }
  }
  validate39.errors = vErrors
  return errors === 0
}

function validate21(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  /*# sourceURL="net-conf" */
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.cniVersion !== undefined) {
        const _errs1 = errors
        if (typeof data.cniVersion !== 'string') {
          validate21.errors = [
            {
              instancePath: instancePath + '/cniVersion',
              schemaPath: '#/properties/cniVersion/type',
              keyword: 'type',
              params: { type: 'string' },
              message: 'must be string',
            },
          ]
          return false
        }
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.name !== undefined) {
          const _errs3 = errors
          if (typeof data.name !== 'string') {
            validate21.errors = [
              {
                instancePath: instancePath + '/name',
                schemaPath: '#/properties/name/type',
                keyword: 'type',
                params: { type: 'string' },
                message: 'must be string',
              },
            ]
            return false
          }
          var valid0 = _errs3 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.type !== undefined) {
            const _errs5 = errors
            if (typeof data.type !== 'string') {
              validate21.errors = [
                {
                  instancePath: instancePath + '/type',
                  schemaPath: '#/properties/type/type',
                  keyword: 'type',
                  params: { type: 'string' },
                  message: 'must be string',
                },
              ]
              return false
            }
            var valid0 = _errs5 === errors
          } else {
            var valid0 = true
          }
          if (valid0) {
            if (data.disableCheck !== undefined) {
              const _errs7 = errors
              if (typeof data.disableCheck !== 'boolean') {
                validate21.errors = [
                  {
                    instancePath: instancePath + '/disableCheck',
                    schemaPath: '#/properties/disableCheck/type',
                    keyword: 'type',
                    params: { type: 'boolean' },
                    message: 'must be boolean',
                  },
                ]
                return false
              }
              var valid0 = _errs7 === errors
            } else {
              var valid0 = true
            }
            if (valid0) {
              if (data.disableGC !== undefined) {
                const _errs9 = errors
                if (typeof data.disableGC !== 'boolean') {
                  validate21.errors = [
                    {
                      instancePath: instancePath + '/disableGC',
                      schemaPath: '#/properties/disableGC/type',
                      keyword: 'type',
                      params: { type: 'boolean' },
                      message: 'must be boolean',
                    },
                  ]
                  return false
                }
                var valid0 = _errs9 === errors
              } else {
                var valid0 = true
              }
              if (valid0) {
                if (data.capabilities !== undefined) {
                  let data5 = data.capabilities
                  const _errs11 = errors
                  if (errors === _errs11) {
                    if (data5 && typeof data5 == 'object' && !Array.isArray(data5)) {
                      for (const key0 in data5) {
                        const _errs14 = errors
                        if (typeof data5[key0] !== 'boolean') {
                          validate21.errors = [
                            {
                              instancePath:
                                instancePath +
                                '/capabilities/' +
                                key0.replace(/~/g, '~0').replace(/\//g, '~1'),
                              schemaPath: '#/properties/capabilities/additionalProperties/type',
                              keyword: 'type',
                              params: { type: 'boolean' },
                              message: 'must be boolean',
                            },
                          ]
                          return false
                        }
                        var valid1 = _errs14 === errors
                        if (!valid1) {
                          break
                        }
                      }
                    } else {
                      validate21.errors = [
                        {
                          instancePath: instancePath + '/capabilities',
                          schemaPath: '#/properties/capabilities/type',
                          keyword: 'type',
                          params: { type: 'object' },
                          message: 'must be object',
                        },
                      ]
                      return false
                    }
                  }
                  var valid0 = _errs11 === errors
                } else {
                  var valid0 = true
                }
                if (valid0) {
                  if (data.args !== undefined) {
                    let data7 = data.args
                    const _errs16 = errors
                    if (errors === _errs16) {
                      if (data7 && typeof data7 == 'object' && !Array.isArray(data7)) {
                        if (data7.cni !== undefined) {
                          let data8 = data7.cni
                          const _errs18 = errors
                          if (errors === _errs18) {
                            if (data8 && typeof data8 == 'object' && !Array.isArray(data8)) {
                              if (data8.ips !== undefined) {
                                const _errs20 = errors
                                if (
                                  !validate22(data8.ips, {
                                    instancePath: instancePath + '/args/cni/ips',
                                    parentData: data8,
                                    parentDataProperty: 'ips',
                                    rootData,
                                  })
                                ) {
                                  vErrors =
                                    vErrors === null
                                      ? validate22.errors
                                      : vErrors.concat(validate22.errors)
                                  errors = vErrors.length
                                }
                                var valid3 = _errs20 === errors
                              } else {
                                var valid3 = true
                              }
                              if (valid3) {
                                if (data8.mac !== undefined) {
                                  const _errs21 = errors
                                  if (typeof data8.mac !== 'string') {
                                    validate21.errors = [
                                      {
                                        instancePath: instancePath + '/args/cni/mac',
                                        schemaPath:
                                          '#/properties/args/properties/cni/properties/mac/type',
                                        keyword: 'type',
                                        params: { type: 'string' },
                                        message: 'must be string',
                                      },
                                    ]
                                    return false
                                  }
                                  var valid3 = _errs21 === errors
                                } else {
                                  var valid3 = true
                                }
                              }
                            } else {
                              validate21.errors = [
                                {
                                  instancePath: instancePath + '/args/cni',
                                  schemaPath: '#/properties/args/properties/cni/type',
                                  keyword: 'type',
                                  params: { type: 'object' },
                                  message: 'must be object',
                                },
                              ]
                              return false
                            }
                          }
                        }
                      } else {
                        validate21.errors = [
                          {
                            instancePath: instancePath + '/args',
                            schemaPath: '#/properties/args/type',
                            keyword: 'type',
                            params: { type: 'object' },
                            message: 'must be object',
                          },
                        ]
                        return false
                      }
                    }
                    var valid0 = _errs16 === errors
                  } else {
                    var valid0 = true
                  }
                  if (valid0) {
                    if (data.runtimeConfig !== undefined) {
                      let data11 = data.runtimeConfig
                      const _errs23 = errors
                      if (errors === _errs23) {
                        if (data11 && typeof data11 == 'object' && !Array.isArray(data11)) {
                          if (data11.ips !== undefined) {
                            const _errs25 = errors
                            if (
                              !validate22(data11.ips, {
                                instancePath: instancePath + '/runtimeConfig/ips',
                                parentData: data11,
                                parentDataProperty: 'ips',
                                rootData,
                              })
                            ) {
                              vErrors =
                                vErrors === null
                                  ? validate22.errors
                                  : vErrors.concat(validate22.errors)
                              errors = vErrors.length
                            }
                            var valid4 = _errs25 === errors
                          } else {
                            var valid4 = true
                          }
                          if (valid4) {
                            if (data11.mac !== undefined) {
                              const _errs26 = errors
                              if (typeof data11.mac !== 'string') {
                                validate21.errors = [
                                  {
                                    instancePath: instancePath + '/runtimeConfig/mac',
                                    schemaPath: '#/properties/runtimeConfig/properties/mac/type',
                                    keyword: 'type',
                                    params: { type: 'string' },
                                    message: 'must be string',
                                  },
                                ]
                                return false
                              }
                              var valid4 = _errs26 === errors
                            } else {
                              var valid4 = true
                            }
                            if (valid4) {
                              if (data11.ipRanges !== undefined) {
                                const _errs28 = errors
                                if (
                                  !validate25(data11.ipRanges, {
                                    instancePath: instancePath + '/runtimeConfig/ipRanges',
                                    parentData: data11,
                                    parentDataProperty: 'ipRanges',
                                    rootData,
                                  })
                                ) {
                                  vErrors =
                                    vErrors === null
                                      ? validate25.errors
                                      : vErrors.concat(validate25.errors)
                                  errors = vErrors.length
                                }
                                var valid4 = _errs28 === errors
                              } else {
                                var valid4 = true
                              }
                              if (valid4) {
                                if (data11.portMappings !== undefined) {
                                  let data15 = data11.portMappings
                                  const _errs29 = errors
                                  if (errors === _errs29) {
                                    if (Array.isArray(data15)) {
                                      var valid5 = true
                                      const len0 = data15.length
                                      for (let i0 = 0; i0 < len0; i0++) {
                                        let data16 = data15[i0]
                                        const _errs31 = errors
                                        if (
                                          !(
                                            data16 &&
                                            typeof data16 == 'object' &&
                                            !Array.isArray(data16)
                                          )
                                        ) {
                                          validate21.errors = [
                                            {
                                              instancePath:
                                                instancePath + '/runtimeConfig/portMappings/' + i0,
                                              schemaPath:
                                                '#/properties/runtimeConfig/properties/portMappings/items/type',
                                              keyword: 'type',
                                              params: { type: 'object' },
                                              message: 'must be object',
                                            },
                                          ]
                                          return false
                                        }
                                        var valid5 = _errs31 === errors
                                        if (!valid5) {
                                          break
                                        }
                                      }
                                    } else {
                                      validate21.errors = [
                                        {
                                          instancePath:
                                            instancePath + '/runtimeConfig/portMappings',
                                          schemaPath:
                                            '#/properties/runtimeConfig/properties/portMappings/type',
                                          keyword: 'type',
                                          params: { type: 'array' },
                                          message: 'must be array',
                                        },
                                      ]
                                      return false
                                    }
                                  }
                                  var valid4 = _errs29 === errors
                                } else {
                                  var valid4 = true
                                }
                                if (valid4) {
                                  if (data11.bandwidth !== undefined) {
                                    let data17 = data11.bandwidth
                                    const _errs33 = errors
                                    if (
                                      !(
                                        data17 &&
                                        typeof data17 == 'object' &&
                                        !Array.isArray(data17)
                                      )
                                    ) {
                                      validate21.errors = [
                                        {
                                          instancePath: instancePath + '/runtimeConfig/bandwidth',
                                          schemaPath:
                                            '#/properties/runtimeConfig/properties/bandwidth/type',
                                          keyword: 'type',
                                          params: { type: 'object' },
                                          message: 'must be object',
                                        },
                                      ]
                                      return false
                                    }
                                    var valid4 = _errs33 === errors
                                  } else {
                                    var valid4 = true
                                  }
                                  if (valid4) {
                                    if (data11.dns !== undefined) {
                                      const _errs35 = errors
                                      if (
                                        !validate29(data11.dns, {
                                          instancePath: instancePath + '/runtimeConfig/dns',
                                          parentData: data11,
                                          parentDataProperty: 'dns',
                                          rootData,
                                        })
                                      ) {
                                        vErrors =
                                          vErrors === null
                                            ? validate29.errors
                                            : vErrors.concat(validate29.errors)
                                        errors = vErrors.length
                                      }
                                      var valid4 = _errs35 === errors
                                    } else {
                                      var valid4 = true
                                    }
                                  }
                                }
                              }
                            }
                          }
                        } else {
                          validate21.errors = [
                            {
                              instancePath: instancePath + '/runtimeConfig',
                              schemaPath: '#/properties/runtimeConfig/type',
                              keyword: 'type',
                              params: { type: 'object' },
                              message: 'must be object',
                            },
                          ]
                          return false
                        }
                      }
                      var valid0 = _errs23 === errors
                    } else {
                      var valid0 = true
                    }
                    if (valid0) {
                      if (data.prevResult !== undefined) {
                        let data19 = data.prevResult
                        const _errs36 = errors
                        if (!(data19 && typeof data19 == 'object' && !Array.isArray(data19))) {
                          validate21.errors = [
                            {
                              instancePath: instancePath + '/prevResult',
                              schemaPath: '#/properties/prevResult/type',
                              keyword: 'type',
                              params: { type: 'object' },
                              message: 'must be object',
                            },
                          ]
                          return false
                        }
                        var valid0 = _errs36 === errors
                      } else {
                        var valid0 = true
                      }
                      if (valid0) {
                        if (data.dns !== undefined) {
                          const _errs38 = errors
                          if (
                            !validate34(data.dns, {
                              instancePath: instancePath + '/dns',
                              parentData: data,
                              parentDataProperty: 'dns',
                              rootData,
                            })
                          ) {
                            vErrors =
                              vErrors === null
                                ? validate34.errors
                                : vErrors.concat(validate34.errors)
                            errors = vErrors.length
                          }
                          var valid0 = _errs38 === errors
                        } else {
                          var valid0 = true
                        }
                        if (valid0) {
                          if (data.mode !== undefined) {
                            const _errs39 = errors
                            if (typeof data.mode !== 'string') {
                              validate21.errors = [
                                {
                                  instancePath: instancePath + '/mode',
                                  schemaPath: '#/properties/mode/type',
                                  keyword: 'type',
                                  params: { type: 'string' },
                                  message: 'must be string',
                                },
                              ]
                              return false
                            }
                            var valid0 = _errs39 === errors
                          } else {
                            var valid0 = true
                          }
                          if (valid0) {
                            if (data.bridge !== undefined) {
                              const _errs41 = errors
                              if (typeof data.bridge !== 'string') {
                                validate21.errors = [
                                  {
                                    instancePath: instancePath + '/bridge',
                                    schemaPath: '#/properties/bridge/type',
                                    keyword: 'type',
                                    params: { type: 'string' },
                                    message: 'must be string',
                                  },
                                ]
                                return false
                              }
                              var valid0 = _errs41 === errors
                            } else {
                              var valid0 = true
                            }
                            if (valid0) {
                              if (data.isGateway !== undefined) {
                                const _errs43 = errors
                                if (typeof data.isGateway !== 'boolean') {
                                  validate21.errors = [
                                    {
                                      instancePath: instancePath + '/isGateway',
                                      schemaPath: '#/properties/isGateway/type',
                                      keyword: 'type',
                                      params: { type: 'boolean' },
                                      message: 'must be boolean',
                                    },
                                  ]
                                  return false
                                }
                                var valid0 = _errs43 === errors
                              } else {
                                var valid0 = true
                              }
                              if (valid0) {
                                if (data.isDefaultGateway !== undefined) {
                                  const _errs45 = errors
                                  if (typeof data.isDefaultGateway !== 'boolean') {
                                    validate21.errors = [
                                      {
                                        instancePath: instancePath + '/isDefaultGateway',
                                        schemaPath: '#/properties/isDefaultGateway/type',
                                        keyword: 'type',
                                        params: { type: 'boolean' },
                                        message: 'must be boolean',
                                      },
                                    ]
                                    return false
                                  }
                                  var valid0 = _errs45 === errors
                                } else {
                                  var valid0 = true
                                }
                                if (valid0) {
                                  if (data.forceAddress !== undefined) {
                                    const _errs47 = errors
                                    if (typeof data.forceAddress !== 'boolean') {
                                      validate21.errors = [
                                        {
                                          instancePath: instancePath + '/forceAddress',
                                          schemaPath: '#/properties/forceAddress/type',
                                          keyword: 'type',
                                          params: { type: 'boolean' },
                                          message: 'must be boolean',
                                        },
                                      ]
                                      return false
                                    }
                                    var valid0 = _errs47 === errors
                                  } else {
                                    var valid0 = true
                                  }
                                  if (valid0) {
                                    if (data.ipMasq !== undefined) {
                                      const _errs49 = errors
                                      if (typeof data.ipMasq !== 'boolean') {
                                        validate21.errors = [
                                          {
                                            instancePath: instancePath + '/ipMasq',
                                            schemaPath: '#/properties/ipMasq/type',
                                            keyword: 'type',
                                            params: { type: 'boolean' },
                                            message: 'must be boolean',
                                          },
                                        ]
                                        return false
                                      }
                                      var valid0 = _errs49 === errors
                                    } else {
                                      var valid0 = true
                                    }
                                    if (valid0) {
                                      if (data.ipMasqBackend !== undefined) {
                                        const _errs51 = errors
                                        if (typeof data.ipMasqBackend !== 'string') {
                                          validate21.errors = [
                                            {
                                              instancePath: instancePath + '/ipMasqBackend',
                                              schemaPath: '#/properties/ipMasqBackend/type',
                                              keyword: 'type',
                                              params: { type: 'string' },
                                              message: 'must be string',
                                            },
                                          ]
                                          return false
                                        }
                                        var valid0 = _errs51 === errors
                                      } else {
                                        var valid0 = true
                                      }
                                      if (valid0) {
                                        if (data.mtu !== undefined) {
                                          let data28 = data.mtu
                                          const _errs53 = errors
                                          if (
                                            !(
                                              typeof data28 == 'number' &&
                                              !(data28 % 1) &&
                                              !isNaN(data28)
                                            )
                                          ) {
                                            validate21.errors = [
                                              {
                                                instancePath: instancePath + '/mtu',
                                                schemaPath: '#/properties/mtu/type',
                                                keyword: 'type',
                                                params: { type: 'integer' },
                                                message: 'must be integer',
                                              },
                                            ]
                                            return false
                                          }
                                          var valid0 = _errs53 === errors
                                        } else {
                                          var valid0 = true
                                        }
                                        if (valid0) {
                                          if (data.hairpinMode !== undefined) {
                                            const _errs55 = errors
                                            if (typeof data.hairpinMode !== 'boolean') {
                                              validate21.errors = [
                                                {
                                                  instancePath: instancePath + '/hairpinMode',
                                                  schemaPath: '#/properties/hairpinMode/type',
                                                  keyword: 'type',
                                                  params: { type: 'boolean' },
                                                  message: 'must be boolean',
                                                },
                                              ]
                                              return false
                                            }
                                            var valid0 = _errs55 === errors
                                          } else {
                                            var valid0 = true
                                          }
                                          if (valid0) {
                                            if (data.promiscMode !== undefined) {
                                              const _errs57 = errors
                                              if (typeof data.promiscMode !== 'boolean') {
                                                validate21.errors = [
                                                  {
                                                    instancePath: instancePath + '/promiscMode',
                                                    schemaPath: '#/properties/promiscMode/type',
                                                    keyword: 'type',
                                                    params: { type: 'boolean' },
                                                    message: 'must be boolean',
                                                  },
                                                ]
                                                return false
                                              }
                                              var valid0 = _errs57 === errors
                                            } else {
                                              var valid0 = true
                                            }
                                            if (valid0) {
                                              if (data.vlan !== undefined) {
                                                let data31 = data.vlan
                                                const _errs59 = errors
                                                if (
                                                  !(
                                                    typeof data31 == 'number' &&
                                                    !(data31 % 1) &&
                                                    !isNaN(data31)
                                                  )
                                                ) {
                                                  validate21.errors = [
                                                    {
                                                      instancePath: instancePath + '/vlan',
                                                      schemaPath: '#/properties/vlan/type',
                                                      keyword: 'type',
                                                      params: { type: 'integer' },
                                                      message: 'must be integer',
                                                    },
                                                  ]
                                                  return false
                                                }
                                                var valid0 = _errs59 === errors
                                              } else {
                                                var valid0 = true
                                              }
                                              if (valid0) {
                                                if (data.vlanTrunk !== undefined) {
                                                  let data32 = data.vlanTrunk
                                                  const _errs61 = errors
                                                  if (errors === _errs61) {
                                                    if (Array.isArray(data32)) {
                                                      var valid6 = true
                                                      const len1 = data32.length
                                                      for (let i1 = 0; i1 < len1; i1++) {
                                                        let data33 = data32[i1]
                                                        const _errs63 = errors
                                                        if (
                                                          !(
                                                            data33 &&
                                                            typeof data33 == 'object' &&
                                                            !Array.isArray(data33)
                                                          )
                                                        ) {
                                                          validate21.errors = [
                                                            {
                                                              instancePath:
                                                                instancePath + '/vlanTrunk/' + i1,
                                                              schemaPath:
                                                                '#/properties/vlanTrunk/items/type',
                                                              keyword: 'type',
                                                              params: { type: 'object' },
                                                              message: 'must be object',
                                                            },
                                                          ]
                                                          return false
                                                        }
                                                        var valid6 = _errs63 === errors
                                                        if (!valid6) {
                                                          break
                                                        }
                                                      }
                                                    } else {
                                                      validate21.errors = [
                                                        {
                                                          instancePath: instancePath + '/vlanTrunk',
                                                          schemaPath: '#/properties/vlanTrunk/type',
                                                          keyword: 'type',
                                                          params: { type: 'array' },
                                                          message: 'must be array',
                                                        },
                                                      ]
                                                      return false
                                                    }
                                                  }
                                                  var valid0 = _errs61 === errors
                                                } else {
                                                  var valid0 = true
                                                }
                                                if (valid0) {
                                                  if (data.preserveDefaultVlan !== undefined) {
                                                    const _errs65 = errors
                                                    if (
                                                      typeof data.preserveDefaultVlan !== 'boolean'
                                                    ) {
                                                      validate21.errors = [
                                                        {
                                                          instancePath:
                                                            instancePath + '/preserveDefaultVlan',
                                                          schemaPath:
                                                            '#/properties/preserveDefaultVlan/type',
                                                          keyword: 'type',
                                                          params: { type: 'boolean' },
                                                          message: 'must be boolean',
                                                        },
                                                      ]
                                                      return false
                                                    }
                                                    var valid0 = _errs65 === errors
                                                  } else {
                                                    var valid0 = true
                                                  }
                                                  if (valid0) {
                                                    if (data.macspoofchk !== undefined) {
                                                      const _errs67 = errors
                                                      if (typeof data.macspoofchk !== 'boolean') {
                                                        validate21.errors = [
                                                          {
                                                            instancePath:
                                                              instancePath + '/macspoofchk',
                                                            schemaPath:
                                                              '#/properties/macspoofchk/type',
                                                            keyword: 'type',
                                                            params: { type: 'boolean' },
                                                            message: 'must be boolean',
                                                          },
                                                        ]
                                                        return false
                                                      }
                                                      var valid0 = _errs67 === errors
                                                    } else {
                                                      var valid0 = true
                                                    }
                                                    if (valid0) {
                                                      if (data.enabledad !== undefined) {
                                                        const _errs69 = errors
                                                        if (typeof data.enabledad !== 'boolean') {
                                                          validate21.errors = [
                                                            {
                                                              instancePath:
                                                                instancePath + '/enabledad',
                                                              schemaPath:
                                                                '#/properties/enabledad/type',
                                                              keyword: 'type',
                                                              params: { type: 'boolean' },
                                                              message: 'must be boolean',
                                                            },
                                                          ]
                                                          return false
                                                        }
                                                        var valid0 = _errs69 === errors
                                                      } else {
                                                        var valid0 = true
                                                      }
                                                      if (valid0) {
                                                        if (
                                                          data.disableContainerInterface !==
                                                          undefined
                                                        ) {
                                                          const _errs71 = errors
                                                          if (
                                                            typeof data.disableContainerInterface !==
                                                            'boolean'
                                                          ) {
                                                            validate21.errors = [
                                                              {
                                                                instancePath:
                                                                  instancePath +
                                                                  '/disableContainerInterface',
                                                                schemaPath:
                                                                  '#/properties/disableContainerInterface/type',
                                                                keyword: 'type',
                                                                params: { type: 'boolean' },
                                                                message: 'must be boolean',
                                                              },
                                                            ]
                                                            return false
                                                          }
                                                          var valid0 = _errs71 === errors
                                                        } else {
                                                          var valid0 = true
                                                        }
                                                        if (valid0) {
                                                          if (data.portIsolation !== undefined) {
                                                            const _errs73 = errors
                                                            if (
                                                              typeof data.portIsolation !==
                                                              'boolean'
                                                            ) {
                                                              validate21.errors = [
                                                                {
                                                                  instancePath:
                                                                    instancePath + '/portIsolation',
                                                                  schemaPath:
                                                                    '#/properties/portIsolation/type',
                                                                  keyword: 'type',
                                                                  params: { type: 'boolean' },
                                                                  message: 'must be boolean',
                                                                },
                                                              ]
                                                              return false
                                                            }
                                                            var valid0 = _errs73 === errors
                                                          } else {
                                                            var valid0 = true
                                                          }
                                                          if (valid0) {
                                                            if (data.ipam !== undefined) {
                                                              const _errs75 = errors
                                                              if (
                                                                !validate39(data.ipam, {
                                                                  instancePath:
                                                                    instancePath + '/ipam',
                                                                  parentData: data,
                                                                  parentDataProperty: 'ipam',
                                                                  rootData,
                                                                })
                                                              ) {
                                                                vErrors =
                                                                  vErrors === null
                                                                    ? validate39.errors
                                                                    : vErrors.concat(
                                                                        validate39.errors,
                                                                      )
                                                                errors = vErrors.length
                                                              }
                                                              var valid0 = _errs75 === errors
                                                            } else {
                                                              var valid0 = true
                                                            }
                                                            if (valid0) {
                                                              if (data.subnetFile !== undefined) {
                                                                const _errs76 = errors
                                                                if (
                                                                  typeof data.subnetFile !==
                                                                  'string'
                                                                ) {
                                                                  validate21.errors = [
                                                                    {
                                                                      instancePath:
                                                                        instancePath +
                                                                        '/subnetFile',
                                                                      schemaPath:
                                                                        '#/properties/subnetFile/type',
                                                                      keyword: 'type',
                                                                      params: { type: 'string' },
                                                                      message: 'must be string',
                                                                    },
                                                                  ]
                                                                  return false
                                                                }
                                                                var valid0 = _errs76 === errors
                                                              } else {
                                                                var valid0 = true
                                                              }
                                                              if (valid0) {
                                                                if (data.dataDir !== undefined) {
                                                                  const _errs78 = errors
                                                                  if (
                                                                    typeof data.dataDir !== 'string'
                                                                  ) {
                                                                    validate21.errors = [
                                                                      {
                                                                        instancePath:
                                                                          instancePath + '/dataDir',
                                                                        schemaPath:
                                                                          '#/properties/dataDir/type',
                                                                        keyword: 'type',
                                                                        params: { type: 'string' },
                                                                        message: 'must be string',
                                                                      },
                                                                    ]
                                                                    return false
                                                                  }
                                                                  var valid0 = _errs78 === errors
                                                                } else {
                                                                  var valid0 = true
                                                                }
                                                                if (valid0) {
                                                                  if (data.delegate !== undefined) {
                                                                    let data42 = data.delegate
                                                                    const _errs80 = errors
                                                                    if (
                                                                      !(
                                                                        data42 &&
                                                                        typeof data42 == 'object' &&
                                                                        !Array.isArray(data42)
                                                                      )
                                                                    ) {
                                                                      validate21.errors = [
                                                                        {
                                                                          instancePath:
                                                                            instancePath +
                                                                            '/delegate',
                                                                          schemaPath:
                                                                            '#/properties/delegate/type',
                                                                          keyword: 'type',
                                                                          params: {
                                                                            type: 'object',
                                                                          },
                                                                          message: 'must be object',
                                                                        },
                                                                      ]
                                                                      return false
                                                                    }
                                                                    var valid0 = _errs80 === errors
                                                                  } else {
                                                                    var valid0 = true
                                                                  }
                                                                  if (valid0) {
                                                                    if (
                                                                      data.chained !== undefined
                                                                    ) {
                                                                      const _errs82 = errors
                                                                      if (
                                                                        typeof data.chained !==
                                                                        'boolean'
                                                                      ) {
                                                                        validate21.errors = [
                                                                          {
                                                                            instancePath:
                                                                              instancePath +
                                                                              '/chained',
                                                                            schemaPath:
                                                                              '#/properties/chained/type',
                                                                            keyword: 'type',
                                                                            params: {
                                                                              type: 'boolean',
                                                                            },
                                                                            message:
                                                                              'must be boolean',
                                                                          },
                                                                        ]
                                                                        return false
                                                                      }
                                                                      var valid0 =
                                                                        _errs82 === errors
                                                                    } else {
                                                                      var valid0 = true
                                                                    }
                                                                    if (valid0) {
                                                                      if (
                                                                        data.master !== undefined
                                                                      ) {
                                                                        const _errs84 = errors
                                                                        if (
                                                                          typeof data.master !==
                                                                          'string'
                                                                        ) {
                                                                          validate21.errors = [
                                                                            {
                                                                              instancePath:
                                                                                instancePath +
                                                                                '/master',
                                                                              schemaPath:
                                                                                '#/properties/master/type',
                                                                              keyword: 'type',
                                                                              params: {
                                                                                type: 'string',
                                                                              },
                                                                              message:
                                                                                'must be string',
                                                                            },
                                                                          ]
                                                                          return false
                                                                        }
                                                                        var valid0 =
                                                                          _errs84 === errors
                                                                      } else {
                                                                        var valid0 = true
                                                                      }
                                                                      if (valid0) {
                                                                        if (
                                                                          data.macvlanMode !==
                                                                          undefined
                                                                        ) {
                                                                          const _errs86 = errors
                                                                          if (
                                                                            typeof data.macvlanMode !==
                                                                            'string'
                                                                          ) {
                                                                            validate21.errors = [
                                                                              {
                                                                                instancePath:
                                                                                  instancePath +
                                                                                  '/macvlanMode',
                                                                                schemaPath:
                                                                                  '#/properties/macvlanMode/type',
                                                                                keyword: 'type',
                                                                                params: {
                                                                                  type: 'string',
                                                                                },
                                                                                message:
                                                                                  'must be string',
                                                                              },
                                                                            ]
                                                                            return false
                                                                          }
                                                                          var valid0 =
                                                                            _errs86 === errors
                                                                        } else {
                                                                          var valid0 = true
                                                                        }
                                                                        if (valid0) {
                                                                          if (
                                                                            data.linkInContainer !==
                                                                            undefined
                                                                          ) {
                                                                            const _errs88 = errors
                                                                            if (
                                                                              typeof data.linkInContainer !==
                                                                              'boolean'
                                                                            ) {
                                                                              validate21.errors = [
                                                                                {
                                                                                  instancePath:
                                                                                    instancePath +
                                                                                    '/linkInContainer',
                                                                                  schemaPath:
                                                                                    '#/properties/linkInContainer/type',
                                                                                  keyword: 'type',
                                                                                  params: {
                                                                                    type: 'boolean',
                                                                                  },
                                                                                  message:
                                                                                    'must be boolean',
                                                                                },
                                                                              ]
                                                                              return false
                                                                            }
                                                                            var valid0 =
                                                                              _errs88 === errors
                                                                          } else {
                                                                            var valid0 = true
                                                                          }
                                                                          if (valid0) {
                                                                            if (
                                                                              data.bcqueuelen !==
                                                                              undefined
                                                                            ) {
                                                                              let data47 =
                                                                                data.bcqueuelen
                                                                              const _errs90 = errors
                                                                              if (
                                                                                !(
                                                                                  typeof data47 ==
                                                                                    'number' &&
                                                                                  !(data47 % 1) &&
                                                                                  !isNaN(data47)
                                                                                )
                                                                              ) {
                                                                                validate21.errors =
                                                                                  [
                                                                                    {
                                                                                      instancePath:
                                                                                        instancePath +
                                                                                        '/bcqueuelen',
                                                                                      schemaPath:
                                                                                        '#/properties/bcqueuelen/type',
                                                                                      keyword:
                                                                                        'type',
                                                                                      params: {
                                                                                        type: 'integer',
                                                                                      },
                                                                                      message:
                                                                                        'must be integer',
                                                                                    },
                                                                                  ]
                                                                                return false
                                                                              }
                                                                              var valid0 =
                                                                                _errs90 === errors
                                                                            } else {
                                                                              var valid0 = true
                                                                            }
                                                                          }
                                                                        }
                                                                      }
                                                                    }
                                                                  }
                                                                }
                                                              }
                                                            }
                                                          }
                                                        }
                                                      }
                                                    }
                                                  }
                                                }
                                              }
                                            }
                                          }
                                        }
                                      }
                                    }
                                  }
                                }
                              }
                            }
                          }
                        }
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    } else {
      validate21.errors = [
        {
          instancePath,
          schemaPath: '#/type',
          keyword: 'type',
          params: { type: 'object' },
          message: 'must be object',
        },
      ]
      return false
    }
  }
  validate21.errors = vErrors
  return errors === 0
}

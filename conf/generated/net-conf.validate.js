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
  title: 'DnsConf',
  type: 'object',
  properties: {
    nameservers: { $ref: '#/definitions/strings' },
    domain: { type: 'string' },
    search: { $ref: '#/definitions/strings' },
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
            validate29.errors = [
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
const schema12 = {
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

function validate35(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      let missing0
      if (data.dst === undefined && (missing0 = 'dst')) {
        validate35.errors = [
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
            validate35.errors = [
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
              validate35.errors = [
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
                validate35.errors = [
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
                  validate35.errors = [
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
                    validate35.errors = [
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
                      validate35.errors = [
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
                        validate35.errors = [
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
      validate35.errors = [
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
  validate35.errors = vErrors
  return errors === 0
}

function validate34(
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
          validate34.errors = [
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
            validate34.errors = [
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
              validate34.errors = [
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
                      !validate35(data3[i0], {
                        instancePath: instancePath + '/routes/' + i0,
                        parentData: data3,
                        parentDataProperty: i0,
                        rootData,
                      })
                    ) {
                      vErrors =
                        vErrors === null ? validate35.errors : vErrors.concat(validate35.errors)
                      errors = vErrors.length
                    }
                    var valid1 = _errs9 === errors
                    if (!valid1) {
                      break
                    }
                  }
                } else {
                  validate34.errors = [
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
                    validate34.errors = [
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
                      validate34.errors = [
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
                        validate34.errors = [
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
                          validate34.errors = [
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
              if (data.capabilities !== undefined) {
                let data4 = data.capabilities
                const _errs9 = errors
                if (errors === _errs9) {
                  if (data4 && typeof data4 == 'object' && !Array.isArray(data4)) {
                    for (const key0 in data4) {
                      const _errs12 = errors
                      if (typeof data4[key0] !== 'boolean') {
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
                      var valid1 = _errs12 === errors
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
                var valid0 = _errs9 === errors
              } else {
                var valid0 = true
              }
              if (valid0) {
                if (data.args !== undefined) {
                  let data6 = data.args
                  const _errs14 = errors
                  if (errors === _errs14) {
                    if (data6 && typeof data6 == 'object' && !Array.isArray(data6)) {
                      if (data6.cni !== undefined) {
                        let data7 = data6.cni
                        const _errs16 = errors
                        if (errors === _errs16) {
                          if (data7 && typeof data7 == 'object' && !Array.isArray(data7)) {
                            if (data7.ips !== undefined) {
                              const _errs18 = errors
                              if (
                                !validate22(data7.ips, {
                                  instancePath: instancePath + '/args/cni/ips',
                                  parentData: data7,
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
                              var valid3 = _errs18 === errors
                            } else {
                              var valid3 = true
                            }
                            if (valid3) {
                              if (data7.mac !== undefined) {
                                const _errs19 = errors
                                if (typeof data7.mac !== 'string') {
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
                                var valid3 = _errs19 === errors
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
                  var valid0 = _errs14 === errors
                } else {
                  var valid0 = true
                }
                if (valid0) {
                  if (data.runtimeConfig !== undefined) {
                    let data10 = data.runtimeConfig
                    const _errs21 = errors
                    if (errors === _errs21) {
                      if (data10 && typeof data10 == 'object' && !Array.isArray(data10)) {
                        if (data10.ips !== undefined) {
                          const _errs23 = errors
                          if (
                            !validate22(data10.ips, {
                              instancePath: instancePath + '/runtimeConfig/ips',
                              parentData: data10,
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
                          var valid4 = _errs23 === errors
                        } else {
                          var valid4 = true
                        }
                        if (valid4) {
                          if (data10.mac !== undefined) {
                            const _errs24 = errors
                            if (typeof data10.mac !== 'string') {
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
                            var valid4 = _errs24 === errors
                          } else {
                            var valid4 = true
                          }
                          if (valid4) {
                            if (data10.ipRanges !== undefined) {
                              const _errs26 = errors
                              if (
                                !validate25(data10.ipRanges, {
                                  instancePath: instancePath + '/runtimeConfig/ipRanges',
                                  parentData: data10,
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
                              var valid4 = _errs26 === errors
                            } else {
                              var valid4 = true
                            }
                            if (valid4) {
                              if (data10.portMappings !== undefined) {
                                let data14 = data10.portMappings
                                const _errs27 = errors
                                if (errors === _errs27) {
                                  if (Array.isArray(data14)) {
                                    var valid5 = true
                                    const len0 = data14.length
                                    for (let i0 = 0; i0 < len0; i0++) {
                                      let data15 = data14[i0]
                                      const _errs29 = errors
                                      if (
                                        !(
                                          data15 &&
                                          typeof data15 == 'object' &&
                                          !Array.isArray(data15)
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
                                      var valid5 = _errs29 === errors
                                      if (!valid5) {
                                        break
                                      }
                                    }
                                  } else {
                                    validate21.errors = [
                                      {
                                        instancePath: instancePath + '/runtimeConfig/portMappings',
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
                                var valid4 = _errs27 === errors
                              } else {
                                var valid4 = true
                              }
                              if (valid4) {
                                if (data10.bandwidth !== undefined) {
                                  let data16 = data10.bandwidth
                                  const _errs31 = errors
                                  if (
                                    !(data16 && typeof data16 == 'object' && !Array.isArray(data16))
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
                                  var valid4 = _errs31 === errors
                                } else {
                                  var valid4 = true
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
                    var valid0 = _errs21 === errors
                  } else {
                    var valid0 = true
                  }
                  if (valid0) {
                    if (data.prevResult !== undefined) {
                      let data17 = data.prevResult
                      const _errs33 = errors
                      if (!(data17 && typeof data17 == 'object' && !Array.isArray(data17))) {
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
                      var valid0 = _errs33 === errors
                    } else {
                      var valid0 = true
                    }
                    if (valid0) {
                      if (data.dns !== undefined) {
                        const _errs35 = errors
                        if (
                          !validate29(data.dns, {
                            instancePath: instancePath + '/dns',
                            parentData: data,
                            parentDataProperty: 'dns',
                            rootData,
                          })
                        ) {
                          vErrors =
                            vErrors === null ? validate29.errors : vErrors.concat(validate29.errors)
                          errors = vErrors.length
                        }
                        var valid0 = _errs35 === errors
                      } else {
                        var valid0 = true
                      }
                      if (valid0) {
                        if (data.mode !== undefined) {
                          const _errs36 = errors
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
                          var valid0 = _errs36 === errors
                        } else {
                          var valid0 = true
                        }
                        if (valid0) {
                          if (data.bridge !== undefined) {
                            const _errs38 = errors
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
                            var valid0 = _errs38 === errors
                          } else {
                            var valid0 = true
                          }
                          if (valid0) {
                            if (data.isGateway !== undefined) {
                              const _errs40 = errors
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
                              var valid0 = _errs40 === errors
                            } else {
                              var valid0 = true
                            }
                            if (valid0) {
                              if (data.isDefaultGateway !== undefined) {
                                const _errs42 = errors
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
                                var valid0 = _errs42 === errors
                              } else {
                                var valid0 = true
                              }
                              if (valid0) {
                                if (data.forceAddress !== undefined) {
                                  const _errs44 = errors
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
                                  var valid0 = _errs44 === errors
                                } else {
                                  var valid0 = true
                                }
                                if (valid0) {
                                  if (data.ipMasq !== undefined) {
                                    const _errs46 = errors
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
                                    var valid0 = _errs46 === errors
                                  } else {
                                    var valid0 = true
                                  }
                                  if (valid0) {
                                    if (data.ipMasqBackend !== undefined) {
                                      const _errs48 = errors
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
                                      var valid0 = _errs48 === errors
                                    } else {
                                      var valid0 = true
                                    }
                                    if (valid0) {
                                      if (data.mtu !== undefined) {
                                        let data26 = data.mtu
                                        const _errs50 = errors
                                        if (
                                          !(
                                            typeof data26 == 'number' &&
                                            !(data26 % 1) &&
                                            !isNaN(data26)
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
                                        var valid0 = _errs50 === errors
                                      } else {
                                        var valid0 = true
                                      }
                                      if (valid0) {
                                        if (data.hairpinMode !== undefined) {
                                          const _errs52 = errors
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
                                          var valid0 = _errs52 === errors
                                        } else {
                                          var valid0 = true
                                        }
                                        if (valid0) {
                                          if (data.promiscMode !== undefined) {
                                            const _errs54 = errors
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
                                            var valid0 = _errs54 === errors
                                          } else {
                                            var valid0 = true
                                          }
                                          if (valid0) {
                                            if (data.vlan !== undefined) {
                                              let data29 = data.vlan
                                              const _errs56 = errors
                                              if (
                                                !(
                                                  typeof data29 == 'number' &&
                                                  !(data29 % 1) &&
                                                  !isNaN(data29)
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
                                              var valid0 = _errs56 === errors
                                            } else {
                                              var valid0 = true
                                            }
                                            if (valid0) {
                                              if (data.vlanTrunk !== undefined) {
                                                let data30 = data.vlanTrunk
                                                const _errs58 = errors
                                                if (errors === _errs58) {
                                                  if (Array.isArray(data30)) {
                                                    var valid6 = true
                                                    const len1 = data30.length
                                                    for (let i1 = 0; i1 < len1; i1++) {
                                                      let data31 = data30[i1]
                                                      const _errs60 = errors
                                                      if (
                                                        !(
                                                          data31 &&
                                                          typeof data31 == 'object' &&
                                                          !Array.isArray(data31)
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
                                                      var valid6 = _errs60 === errors
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
                                                var valid0 = _errs58 === errors
                                              } else {
                                                var valid0 = true
                                              }
                                              if (valid0) {
                                                if (data.preserveDefaultVlan !== undefined) {
                                                  const _errs62 = errors
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
                                                  var valid0 = _errs62 === errors
                                                } else {
                                                  var valid0 = true
                                                }
                                                if (valid0) {
                                                  if (data.macspoofchk !== undefined) {
                                                    const _errs64 = errors
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
                                                    var valid0 = _errs64 === errors
                                                  } else {
                                                    var valid0 = true
                                                  }
                                                  if (valid0) {
                                                    if (data.enabledad !== undefined) {
                                                      const _errs66 = errors
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
                                                      var valid0 = _errs66 === errors
                                                    } else {
                                                      var valid0 = true
                                                    }
                                                    if (valid0) {
                                                      if (
                                                        data.disableContainerInterface !== undefined
                                                      ) {
                                                        const _errs68 = errors
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
                                                        var valid0 = _errs68 === errors
                                                      } else {
                                                        var valid0 = true
                                                      }
                                                      if (valid0) {
                                                        if (data.portIsolation !== undefined) {
                                                          const _errs70 = errors
                                                          if (
                                                            typeof data.portIsolation !== 'boolean'
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
                                                          var valid0 = _errs70 === errors
                                                        } else {
                                                          var valid0 = true
                                                        }
                                                        if (valid0) {
                                                          if (data.ipam !== undefined) {
                                                            const _errs72 = errors
                                                            if (
                                                              !validate34(data.ipam, {
                                                                instancePath:
                                                                  instancePath + '/ipam',
                                                                parentData: data,
                                                                parentDataProperty: 'ipam',
                                                                rootData,
                                                              })
                                                            ) {
                                                              vErrors =
                                                                vErrors === null
                                                                  ? validate34.errors
                                                                  : vErrors.concat(
                                                                      validate34.errors,
                                                                    )
                                                              errors = vErrors.length
                                                            }
                                                            var valid0 = _errs72 === errors
                                                          } else {
                                                            var valid0 = true
                                                          }
                                                          if (valid0) {
                                                            if (data.subnetFile !== undefined) {
                                                              const _errs73 = errors
                                                              if (
                                                                typeof data.subnetFile !== 'string'
                                                              ) {
                                                                validate21.errors = [
                                                                  {
                                                                    instancePath:
                                                                      instancePath + '/subnetFile',
                                                                    schemaPath:
                                                                      '#/properties/subnetFile/type',
                                                                    keyword: 'type',
                                                                    params: { type: 'string' },
                                                                    message: 'must be string',
                                                                  },
                                                                ]
                                                                return false
                                                              }
                                                              var valid0 = _errs73 === errors
                                                            } else {
                                                              var valid0 = true
                                                            }
                                                            if (valid0) {
                                                              if (data.dataDir !== undefined) {
                                                                const _errs75 = errors
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
                                                                var valid0 = _errs75 === errors
                                                              } else {
                                                                var valid0 = true
                                                              }
                                                              if (valid0) {
                                                                if (data.delegate !== undefined) {
                                                                  let data40 = data.delegate
                                                                  const _errs77 = errors
                                                                  if (
                                                                    !(
                                                                      data40 &&
                                                                      typeof data40 == 'object' &&
                                                                      !Array.isArray(data40)
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
                                                                        params: { type: 'object' },
                                                                        message: 'must be object',
                                                                      },
                                                                    ]
                                                                    return false
                                                                  }
                                                                  var valid0 = _errs77 === errors
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

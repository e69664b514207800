// Made from conf/feature-conf.schema.json by scripts/gen-conf.ts; change the schema, not this file.
'use strict'
export const validate = validate21
export default validate21
const schema6 = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'feature-conf',
  title: 'FeatureConf',
  description: 'What only some runs read of a configuration: port mappings and bandwidth.',
  type: 'object',
  properties: {
    runtimeConfig: {
      type: 'object',
      properties: {
        portMappings: { type: 'array', items: { $ref: '#/definitions/portMappingConf' } },
        bandwidth: { $ref: '#/definitions/bandwidthConf' },
      },
    },
    backend: { type: 'string' },
    snat: { type: 'boolean' },
    markMasqBit: { type: 'integer' },
    externalSetMarkChain: { type: 'string' },
    conditionsV4: { $ref: '#/definitions/strings' },
    conditionsV6: { $ref: '#/definitions/strings' },
    masqAll: { type: 'boolean' },
    ingressRate: { $ref: '#/definitions/amount' },
    ingressBurst: { $ref: '#/definitions/amount' },
    egressRate: { $ref: '#/definitions/amount' },
    egressBurst: { $ref: '#/definitions/amount' },
  },
  definitions: {
    strings: { type: 'array', items: { type: 'string' } },
    amount: { type: 'integer', minimum: 0, maximum: 18446744073709552000 },
    portMappingConf: {
      title: 'PortMappingConf',
      type: 'object',
      properties: {
        hostPort: { type: 'integer' },
        containerPort: { type: 'integer' },
        protocol: { type: 'string' },
        hostIP: { type: 'string' },
      },
    },
    bandwidthConf: {
      title: 'BandwidthConf',
      type: 'object',
      properties: {
        ingressRate: { $ref: '#/definitions/amount' },
        ingressBurst: { $ref: '#/definitions/amount' },
        egressRate: { $ref: '#/definitions/amount' },
        egressBurst: { $ref: '#/definitions/amount' },
      },
    },
  },
}
const schema7 = {
  title: 'PortMappingConf',
  type: 'object',
  properties: {
    hostPort: { type: 'integer' },
    containerPort: { type: 'integer' },
    protocol: { type: 'string' },
    hostIP: { type: 'string' },
  },
}

function validate22(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.hostPort !== undefined) {
        let data0 = data.hostPort
        const _errs1 = errors
        if (!(typeof data0 == 'number' && !(data0 % 1) && !isNaN(data0))) {
          validate22.errors = [
            {
              instancePath: instancePath + '/hostPort',
              schemaPath: '#/properties/hostPort/type',
              keyword: 'type',
              params: { type: 'integer' },
              message: 'must be integer',
            },
          ]
          return false
        }
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.containerPort !== undefined) {
          let data1 = data.containerPort
          const _errs3 = errors
          if (!(typeof data1 == 'number' && !(data1 % 1) && !isNaN(data1))) {
            validate22.errors = [
              {
                instancePath: instancePath + '/containerPort',
                schemaPath: '#/properties/containerPort/type',
                keyword: 'type',
                params: { type: 'integer' },
                message: 'must be integer',
              },
            ]
            return false
          }
          var valid0 = _errs3 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.protocol !== undefined) {
            const _errs5 = errors
            if (typeof data.protocol !== 'string') {
              validate22.errors = [
                {
                  instancePath: instancePath + '/protocol',
                  schemaPath: '#/properties/protocol/type',
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
            if (data.hostIP !== undefined) {
              const _errs7 = errors
              if (typeof data.hostIP !== 'string') {
                validate22.errors = [
                  {
                    instancePath: instancePath + '/hostIP',
                    schemaPath: '#/properties/hostIP/type',
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
      validate22.errors = [
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
  validate22.errors = vErrors
  return errors === 0
}

const schema8 = {
  title: 'BandwidthConf',
  type: 'object',
  properties: {
    ingressRate: { $ref: '#/definitions/amount' },
    ingressBurst: { $ref: '#/definitions/amount' },
    egressRate: { $ref: '#/definitions/amount' },
    egressBurst: { $ref: '#/definitions/amount' },
  },
}
const schema9 = { type: 'integer', minimum: 0, maximum: 18446744073709552000 }

function validate25(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (!(typeof data == 'number' && !(data % 1) && !isNaN(data))) {
    validate25.errors = [
      {
        instancePath,
        schemaPath: '#/type',
        keyword: 'type',
        params: { type: 'integer' },
        message: 'must be integer',
      },
    ]
    return false
  }
  if (errors === 0) {
    if (typeof data == 'number') {
      if (data > 18446744073709552000 || isNaN(data)) {
        validate25.errors = [
          {
            instancePath,
            schemaPath: '#/maximum',
            keyword: 'maximum',
            params: { comparison: '<=', limit: 18446744073709552000 },
            message: 'must be <= 18446744073709552000',
          },
        ]
        return false
      } else {
        if (data < 0 || isNaN(data)) {
          validate25.errors = [
            {
              instancePath,
              schemaPath: '#/minimum',
              keyword: 'minimum',
              params: { comparison: '>=', limit: 0 },
              message: 'must be >= 0',
            },
          ]
          return false
        }
      }
    }
  }
  validate25.errors = vErrors
  return errors === 0
}

function validate24(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.ingressRate !== undefined) {
        const _errs1 = errors
        if (
          !validate25(data.ingressRate, {
            instancePath: instancePath + '/ingressRate',
            parentData: data,
            parentDataProperty: 'ingressRate',
            rootData,
          })
        ) {
          vErrors = vErrors === null ? validate25.errors : vErrors.concat(validate25.errors)
          errors = vErrors.length
        }
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.ingressBurst !== undefined) {
          const _errs2 = errors
          if (
            !validate25(data.ingressBurst, {
              instancePath: instancePath + '/ingressBurst',
              parentData: data,
              parentDataProperty: 'ingressBurst',
              rootData,
            })
          ) {
            vErrors = vErrors === null ? validate25.errors : vErrors.concat(validate25.errors)
            errors = vErrors.length
          }
          var valid0 = _errs2 === errors
        } else {
          var valid0 = true
        }
        if (valid0) {
          if (data.egressRate !== undefined) {
            const _errs3 = errors
            if (
              !validate25(data.egressRate, {
                instancePath: instancePath + '/egressRate',
                parentData: data,
                parentDataProperty: 'egressRate',
                rootData,
              })
            ) {
              vErrors = vErrors === null ? validate25.errors : vErrors.concat(validate25.errors)
              errors = vErrors.length
            }
            var valid0 = _errs3 === errors
          } else {
            var valid0 = true
          }
          if (valid0) {
            if (data.egressBurst !== undefined) {
              const _errs4 = errors
              if (
                !validate25(data.egressBurst, {
                  instancePath: instancePath + '/egressBurst',
                  parentData: data,
                  parentDataProperty: 'egressBurst',
                  rootData,
                })
              ) {
                vErrors = vErrors === null ? validate25.errors : vErrors.concat(validate25.errors)
                errors = vErrors.length
              }
              var valid0 = _errs4 === errors
            } else {
              var valid0 = true
            }
          }
        }
      }
    } else {
      validate24.errors = [
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
  validate24.errors = vErrors
  return errors === 0
}

const schema10 = { type: 'array', items: { type: 'string' } }

function validate31(
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
          validate31.errors = [
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
      validate31.errors = [
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
  validate31.errors = vErrors
  return errors === 0
}

function validate21(
  data,
  { instancePath = '', parentData, parentDataProperty, rootData = data } = {},
) {
  /*# sourceURL="feature-conf" */
  let vErrors = null
  let errors = 0
  if (errors === 0) {
    if (data && typeof data == 'object' && !Array.isArray(data)) {
      if (data.runtimeConfig !== undefined) {
        let data0 = data.runtimeConfig
        const _errs1 = errors
        if (errors === _errs1) {
          if (data0 && typeof data0 == 'object' && !Array.isArray(data0)) {
            if (data0.portMappings !== undefined) {
              let data1 = data0.portMappings
              const _errs3 = errors
              if (errors === _errs3) {
                if (Array.isArray(data1)) {
                  var valid2 = true
                  const len0 = data1.length
                  for (let i0 = 0; i0 < len0; i0++) {
                    const _errs5 = errors
                    if (
                      !validate22(data1[i0], {
                        instancePath: instancePath + '/runtimeConfig/portMappings/' + i0,
                        parentData: data1,
                        parentDataProperty: i0,
                        rootData,
                      })
                    ) {
                      vErrors =
                        vErrors === null ? validate22.errors : vErrors.concat(validate22.errors)
                      errors = vErrors.length
                    }
                    var valid2 = _errs5 === errors
                    if (!valid2) {
                      break
                    }
                  }
                } else {
                  validate21.errors = [
                    {
                      instancePath: instancePath + '/runtimeConfig/portMappings',
                      schemaPath: '#/properties/runtimeConfig/properties/portMappings/type',
                      keyword: 'type',
                      params: { type: 'array' },
                      message: 'must be array',
                    },
                  ]
                  return false
                }
              }
              var valid1 = _errs3 === errors
            } else {
              var valid1 = true
            }
            if (valid1) {
              if (data0.bandwidth !== undefined) {
                const _errs6 = errors
                if (
                  !validate24(data0.bandwidth, {
                    instancePath: instancePath + '/runtimeConfig/bandwidth',
                    parentData: data0,
                    parentDataProperty: 'bandwidth',
                    rootData,
                  })
                ) {
                  vErrors = vErrors === null ? validate24.errors : vErrors.concat(validate24.errors)
                  errors = vErrors.length
                }
                var valid1 = _errs6 === errors
              } else {
                var valid1 = true
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
        var valid0 = _errs1 === errors
      } else {
        var valid0 = true
      }
      if (valid0) {
        if (data.backend !== undefined) {
          const _errs7 = errors
          if (typeof data.backend !== 'string') {
            validate21.errors = [
              {
                instancePath: instancePath + '/backend',
                schemaPath: '#/properties/backend/type',
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
        if (valid0) {
          if (data.snat !== undefined) {
            const _errs9 = errors
            if (typeof data.snat !== 'boolean') {
              validate21.errors = [
                {
                  instancePath: instancePath + '/snat',
                  schemaPath: '#/properties/snat/type',
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
            if (data.markMasqBit !== undefined) {
              let data6 = data.markMasqBit
              const _errs11 = errors
              if (!(typeof data6 == 'number' && !(data6 % 1) && !isNaN(data6))) {
                validate21.errors = [
                  {
                    instancePath: instancePath + '/markMasqBit',
                    schemaPath: '#/properties/markMasqBit/type',
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
              if (data.externalSetMarkChain !== undefined) {
                const _errs13 = errors
                if (typeof data.externalSetMarkChain !== 'string') {
                  validate21.errors = [
                    {
                      instancePath: instancePath + '/externalSetMarkChain',
                      schemaPath: '#/properties/externalSetMarkChain/type',
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
                if (data.conditionsV4 !== undefined) {
                  const _errs15 = errors
                  if (
                    !validate31(data.conditionsV4, {
                      instancePath: instancePath + '/conditionsV4',
                      parentData: data,
                      parentDataProperty: 'conditionsV4',
                      rootData,
                    })
                  ) {
                    vErrors =
                      vErrors === null ? validate31.errors : vErrors.concat(validate31.errors)
                    errors = vErrors.length
                  }
                  var valid0 = _errs15 === errors
                } else {
                  var valid0 = true
                }
                if (valid0) {
                  if (data.conditionsV6 !== undefined) {
                    const _errs16 = errors
                    if (
                      !validate31(data.conditionsV6, {
                        instancePath: instancePath + '/conditionsV6',
                        parentData: data,
                        parentDataProperty: 'conditionsV6',
                        rootData,
                      })
                    ) {
                      vErrors =
                        vErrors === null ? validate31.errors : vErrors.concat(validate31.errors)
                      errors = vErrors.length
                    }
                    var valid0 = _errs16 === errors
                  } else {
                    var valid0 = true
                  }
                  if (valid0) {
                    if (data.masqAll !== undefined) {
                      const _errs17 = errors
                      if (typeof data.masqAll !== 'boolean') {
                        validate21.errors = [
                          {
                            instancePath: instancePath + '/masqAll',
                            schemaPath: '#/properties/masqAll/type',
                            keyword: 'type',
                            params: { type: 'boolean' },
                            message: 'must be boolean',
                          },
                        ]
                        return false
                      }
                      var valid0 = _errs17 === errors
                    } else {
                      var valid0 = true
                    }
                    if (valid0) {
                      if (data.ingressRate !== undefined) {
                        const _errs19 = errors
                        if (
                          !validate25(data.ingressRate, {
                            instancePath: instancePath + '/ingressRate',
                            parentData: data,
                            parentDataProperty: 'ingressRate',
                            rootData,
                          })
                        ) {
                          vErrors =
                            vErrors === null ? validate25.errors : vErrors.concat(validate25.errors)
                          errors = vErrors.length
                        }
                        var valid0 = _errs19 === errors
                      } else {
                        var valid0 = true
                      }
                      if (valid0) {
                        if (data.ingressBurst !== undefined) {
                          const _errs20 = errors
                          if (
                            !validate25(data.ingressBurst, {
                              instancePath: instancePath + '/ingressBurst',
                              parentData: data,
                              parentDataProperty: 'ingressBurst',
                              rootData,
                            })
                          ) {
                            vErrors =
                              vErrors === null
                                ? validate25.errors
                                : vErrors.concat(validate25.errors)
                            errors = vErrors.length
                          }
                          var valid0 = _errs20 === errors
                        } else {
                          var valid0 = true
                        }
                        if (valid0) {
                          if (data.egressRate !== undefined) {
                            const _errs21 = errors
                            if (
                              !validate25(data.egressRate, {
                                instancePath: instancePath + '/egressRate',
                                parentData: data,
                                parentDataProperty: 'egressRate',
                                rootData,
                              })
                            ) {
                              vErrors =
                                vErrors === null
                                  ? validate25.errors
                                  : vErrors.concat(validate25.errors)
                              errors = vErrors.length
                            }
                            var valid0 = _errs21 === errors
                          } else {
                            var valid0 = true
                          }
                          if (valid0) {
                            if (data.egressBurst !== undefined) {
                              const _errs22 = errors
                              if (
                                !validate25(data.egressBurst, {
                                  instancePath: instancePath + '/egressBurst',
                                  parentData: data,
                                  parentDataProperty: 'egressBurst',
                                  rootData,
                                })
                              ) {
                                vErrors =
                                  vErrors === null
                                    ? validate25.errors
                                    : vErrors.concat(validate25.errors)
                                errors = vErrors.length
                              }
                              var valid0 = _errs22 === errors
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

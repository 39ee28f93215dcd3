@problemName x
@dimensions "
@classLabel true a b
@data
1,2,3:4,5,6:a
3,2,1:6,5,4:b
